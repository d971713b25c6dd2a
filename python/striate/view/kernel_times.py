"""Bars of what each kernel takes, per layer and direction, from the rows of striate.compare."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Patch

from .picture import FAINT, INK, Picture

TITLES = {
    "forward": "forward",
    "backward_input": "backward, input",
    "backward_weight": "backward, weights",
}
COLORS = {
    "onednn": "#8c8c8c",
    "winograd": "#0072b2",
    "winograd_2x2": "#56b4e9",
    "direct": "#e69f00",
    "blocked": "#009e73",
}
MORE_COLORS = ("#cc79a7", "#d55e00", "#f0e442")


def draw_kernels(rows: list[dict[str, Any]], title: str = "") -> Picture:
    """Draw one panel a direction: for each problem its layer, and a bar for each entry.

    Equal problems are drawn once, with their number. The reference is left out: it is far slower.
    Operations with a single entry have nothing to compare and are left out too.
    """
    panels = {direction: _problems(rows, direction) for direction in TITLES}
    names = sorted({name for panel in panels.values() for p in panel for name in p["times"]})
    spare = iter(MORE_COLORS * len(names))
    colors = {name: COLORS.get(name) or next(spare) for name in names}
    lengths = {d: sum(len(p["times"]) + 0.8 for p in panel) for d, panel in panels.items()}
    height = max(3.0, 0.115 * max(lengths.values(), default=1) + 1.6)
    picture = Picture(figsize=(16, height), layout="constrained")
    axes = picture.subplots(1, len(panels))
    for axis, (direction, panel) in zip(axes, panels.items()):
        _draw_panel(axis, panel, colors)
        axis.set_title(TITLES[direction], loc="left", color=INK, fontweight="bold")
        axis.set_ylim(max(lengths.values(), default=1), -1)
    handles = [Patch(color=colors[name], label=name) for name in names]
    picture.legend(
        handles=handles,
        loc="outside upper right",
        ncols=max(1, len(names)),
        frameon=False,
        labelcolor=INK,
    )
    picture.suptitle(f"{title}: milliseconds of each kernel", x=0.01, ha="left", color=INK)
    picture.supxlabel(
        "full colour: the entry that is chosen; × after a shape: so many layers have it",
        x=0.01,
        ha="left",
        color=INK,
        fontsize=9,
    )
    return picture


def _problems(rows: list[dict[str, Any]], direction: str) -> list[dict[str, Any]]:
    """Group equal rows of one direction; keep those that have entries to compare."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        times = {
            c["name"]: c["milliseconds"]
            for c in row["candidates"]
            if c["milliseconds"] is not None and c["name"] != "reference"
        }
        if row["direction"] != direction or len(times) < 2:
            continue
        key = f"{row['operation']} {row['inputs']} {row['shape']} {times}"
        problem = {"row": row, "times": dict(sorted(times.items(), key=lambda t: t[1])), "count": 0}
        found.setdefault(key, problem)["count"] += 1
    return list(found.values())


def _label(problem: dict[str, Any]) -> str:
    row = problem["row"]
    shapes = [shape for shape in row["inputs"] if shape]
    filters = next((s for s in [*shapes[1:2], row["shape"]] if len(s) == 4), None)
    if row["operation"].startswith("conv2d") and filters and len(shapes[0]) == 4:
        image = row["shape"] if row["direction"] == "backward_input" else shapes[0]
        if row["direction"] == "backward_weight":
            filters = row["shape"]
        k, r, s, c = filters
        text = f"{r}x{s} {c}→{k} @{image[1]}x{image[2]}"
    else:
        text = f"{row['operation']} {'x'.join(map(str, row['shape']))}"
    return f"{row['layer']}\n{text}" + (f" ×{problem['count']}" if problem["count"] > 1 else "")


def _draw_panel(axis: Any, panel: list[dict[str, Any]], colors: dict[str, str]) -> None:
    at, ticks, labels = 0.0, [], []
    longest = max((t for p in panel for t in p["times"].values()), default=1)
    for problem in panel:
        times = problem["times"]
        for i, (name, value) in enumerate(times.items()):
            chosen = name == problem["row"]["chosen"]
            axis.barh(at + i, value, 0.9, color=colors[name], alpha=1 if chosen else 0.35)
            axis.text(
                value + 0.01 * longest, at + i, f"{value:.2g}", va="center", fontsize=6, color=INK
            )
        ticks.append(at + (len(times) - 1) / 2)
        labels.append(_label(problem))
        at += len(times) + 0.8
    axis.set_yticks(ticks, labels, fontsize=6.5)
    axis.set_xlim(0, longest * 1.12)
    axis.grid(axis="x", color=FAINT, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(FAINT)
    axis.tick_params(color=FAINT, labelcolor=INK, length=0)
