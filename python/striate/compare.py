"""Which kernel is quicker, and how exact: every entry on every layer of a network.

`./tools/compare` and `python -m striate compare` call this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import striate as st
from striate import _striate
from striate.atomic import replacing
from striate.compare_options import add_options

DIRECTIONS = ("forward", "backward_input", "backward_weight")
TRANSCENDENTAL = ("softmax", "entropy", "sigmoid", "tanh", "exp", "log", "power")


def limit(operation: str, entry: str) -> float:
    """Return the normalised mean square error that an entry may have."""
    if entry == "winograd":  # of large tiles: its transforms add rounding
        return 5e-6**2 if operation == "conv2d_backward_weight" else 3e-6**2
    return 1e-8 if any(word in operation for word in TRANSCENDENTAL) else 1e-10


def is_emulated(device: str) -> bool:
    """Say whether the device is the tests' stand-in: its times are no GPU's."""
    return _striate.describe_device(device).startswith("emulator")


def network(name: str) -> st.Model:
    """Return a network of the zoo, or the model in a file."""
    if name in st.zoo.names():
        return getattr(st.zoo, name)()
    if not Path(name).exists():
        rule = f"--network must be a file or one of {', '.join(st.zoo.names())}"
        raise st.Error(f"{rule}, got '{name}'.", rule=rule, values=name)
    return st.load(name)


def compare(
    model: st.Model, batch: int = 2, device: str = "cpu", only: tuple = (), progress=None
) -> list[dict]:
    """Time and check every kernel that could do the work of a training step.

    Args:
        model: Compiled for mean squared error here; its weights stay as they are.
        batch: Samples in the step.
        device: Whose kernels.
        only: Names of entries or operations, or parts of layers' paths.
        progress: Called with each kernel's name before it is measured.

    Returns:
        Rows {layer, operation, direction, dtype, shape, chosen, candidates: [{name, status, reason,
        milliseconds, estimate_ms, roofline_percent, workspace_bytes, nmse, max_ulp}]}. An emulated
        device runs the kernels on few images, and is not timed: milliseconds are None.

    Raises:
        ShapeError: For a batch below 1. DeviceError: For a device that is not there.
    """
    if batch < 1:
        rule = "the batch must be >= 1"
        raise st.ShapeError(f"{rule}, got {batch}.", rule=rule, values=str(batch))
    model.compile("sgd", "mean_squared_error", device=device)
    types = [
        [([batch, *value.shape[1:]], value.dtype) for value in values]
        for values in (model.inputs, model.outputs)
    ]
    progress = progress or (lambda kernel: None)
    rows = model._handle.compare("train", *types, list(only), progress, not is_emulated(device))
    for row in rows:
        guests = row["operation"].startswith("conv2d") or row["operation"] == "matmul"
        guests = guests and not device.startswith("cuda")
        if guests and not only and all(c["name"] != "onednn" for c in row["candidates"]):
            missing = dict.fromkeys(row["candidates"][0])
            missing.update(name="onednn", status="absent", reason="built without oneDNN")
            row["candidates"].append(missing)
        if row["checked_batch"] != batch and row["operation"].startswith("conv2d"):
            checked = f"{row['checked_batch']} of {batch} images"
            row["note"] = f"errors on {checked}: the reference would take too long"
    return rows


def beyond_limit(rows: list[dict]) -> list[str]:
    """Return a line for each candidate that works but is not exact enough."""
    lines = {}
    for row in rows:
        for candidate in row["candidates"]:
            allowed = limit(row["operation"], candidate["name"])
            if candidate["status"] == "ok" and (candidate["nmse"] or 0) > allowed:
                what = f"{row['layer']} {row['operation']} {candidate['name']}"
                lines[what] = f"{what}: nmse {candidate['nmse']:.1e} > {allowed:.1e}"
    return list(lines.values())


def print_rows(rows: list[dict]) -> None:
    """Print a line for each layer and direction: the chosen entry, then the others by time."""
    for row in rows:
        ran = [c for c in row["candidates"] if c["milliseconds"] is not None]
        ran.sort(key=lambda c: (c["name"] != row["chosen"], c["milliseconds"]))
        said = ", ".join(f"{c['name']} {c['milliseconds']:.3g}" for c in ran)
        unit = "ms"
        if not ran:  # an emulated device
            exact = [c for c in row["candidates"] if c["nmse"] is not None]
            exact.sort(key=lambda c: c["name"] != row["chosen"])
            said = ", ".join(f"{c['name']} {c['nmse']:.1e}" for c in exact)
            unit = "nmse"
        failed = [f"{c['name']} FAILED ({c['reason']})" for c in row["candidates"]
                  if c["status"] == "failed"]  # fmt: skip
        print(f"{row['layer']:28s} {row['operation']:24s} {unit}: {', '.join([said, *failed])}")


def main(arguments: list[str] | None = None, program: str = "tools/compare") -> int:
    """Compare, write and print; return 0, 1 when an error limit is exceeded, 2 for wrong usage."""
    parser = add_options(argparse.ArgumentParser(prog=program))
    options = parser.parse_args(arguments)
    only = tuple(name for name in options.only.split(",") if name)

    def show(kernel: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{kernel}", end="", file=sys.stderr, flush=True)

    start = time.monotonic()
    try:
        model = network(options.network)
        rows = compare(model, options.batch, options.device, only, show)
    except st.Error as error:
        print(error, file=sys.stderr)
        return 2
    if not rows:
        print(f"no kernel of {options.network} is called '{options.only}'", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print_rows(rows)
    described = _striate.describe_device(options.device)
    top = {"striate": st.__version__, "device": described, "network": options.network}
    measured = None if is_emulated(options.device) else time.strftime("%F %T")
    top.update(batch=options.batch, threads=st.threads(), measured=measured)
    if options.json:
        with replacing(options.json) as new:
            Path(new).write_text(json.dumps({**top, "rows": rows}, indent=1) + "\n")
    if options.plot:
        from striate.view.kernel_times import draw_kernels

        title = f"{options.network}, batch {options.batch}, {st.threads()} threads"
        draw_kernels(rows, title).save(options.plot)
    errors = beyond_limit(rows)
    for line in errors:
        print(line, file=sys.stderr)
    print(
        f"{len(rows)} kernels in {time.monotonic() - start:.0f} s, {len(errors)} not exact enough"
    )
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
