"""Learning curves: one panel per quantity, training against validation."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.ticker import MaxNLocator

from ..arguments import shown
from ..errors import DTypeError, ShapeError
from .picture import FAINT, INK, Picture

_TRAINING, _VALIDATION = "#1f77b4", "#e6550d"
# Of the rows of a history, these are not learned.
_NO_CURVE = {"epoch", "seconds", "learning_rate"}


def draw_history(history: Any) -> Picture:
    """Return a Picture of the curves; see `striate.view.history`."""
    epochs, columns = _columns(history)
    names = list(dict.fromkeys(k[4:] if k.startswith("val_") else k for k in columns))
    if not epochs or not names:
        raise ShapeError(
            layer="view.history", rule="a history needs at least one epoch", values=repr(history)
        )
    picture = Picture(figsize=(4.8 * len(names), 3.6), layout="constrained")
    picture.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    panels = picture.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names):
        panel.set_title(_title(name), loc="left", color=INK, fontweight="bold")
        # A point alone makes no line, so short runs also get markers.
        marker = "o" if len(epochs) <= 30 else None
        for key, label, color in (
            (name, "training", _TRAINING),
            (f"val_{name}", "validation", _VALIDATION),
        ):
            if key in columns:
                last = f"{label}, last {columns[key][-1]:.4f}"
                panel.plot(epochs, columns[key], color=color, label=last, marker=marker, ms=4)
        panel.set_xlabel("epoch", color=INK)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(epochs) == 1:
            panel.set_xlim(epochs[0] - 1, epochs[0] + 1)
        panel.margins(x=0.06, y=0.1)
        panel.grid(color=FAINT, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(FAINT)
        panel.tick_params(color=FAINT, labelcolor=INK)
        panel.legend(frameon=False, labelcolor=INK)
    return picture


def _columns(history: Any) -> tuple[list[int], dict[str, list[float]]]:
    """Return the epochs and the drawable columns of a History, its rows, or a dict of lists."""
    rows = getattr(history, "epochs", history)
    if not isinstance(rows, (dict, list, tuple)):
        rule = "a history is a History, its rows, or a dict of lists"
        raise DTypeError(layer="view.history", rule=rule, values=shown(history))
    if isinstance(rows, dict):
        length = max((len(values) for values in rows.values()), default=0)
        rows = [
            {key: values[i] for key, values in rows.items() if i < len(values)}
            for i in range(length)
        ]
    epochs = [row.get("epoch", i + 1) for i, row in enumerate(rows)]
    keys = dict.fromkeys(key for row in rows for key in row if key not in _NO_CURVE)
    return epochs, {key: [_number(row.get(key)) for row in rows] for key in keys}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
