"""Time the named layers by each kernel, and training, on device "cuda"; tools/verify-gpu runs this.

A time is the shortest of several runs of a kernel that is waited for, less the time of the smallest
kernel, measured the same way: launch and wait.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import striate as st
from roofline import A100, H100, NAMED_LAYERS, NamedLayer, product_of

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench_workers"))

PRECISIONS = ("float32", "bfloat16")
ROUNDS = 10
TRAIN_SECONDS = 3.0


def network_of(layer: NamedLayer) -> st.Model:
    """Return a network whose training step runs the layer in all three directions."""
    return st.Sequential(
        [
            st.Input((layer.size, layer.size, layer.channels)),
            st.BatchNormalization(),  # has weights, so that the gradient of x is wanted
            st.Conv2D(layer.filters, layer.window, strides=layer.stride, padding=layer.padding,
                      groups=layer.groups, use_bias=False),
            st.GlobalAveragePool2D(),
        ]
    )  # fmt: skip


def problems(layer: NamedLayer) -> dict[str, list]:
    """Return the operations of the layer with their inputs' shapes, then the output's."""
    x, w, y = layer.shapes
    return {
        "conv2d": [x, w, None, None],
        "conv2d_backward_input": [y, w, x],
        "conv2d_backward_weight": [x, y, w],
    }


def kernels_of(layer: NamedLayer, operation: str, shapes: list, precision: str) -> list[str]:
    """Return the names of the kernels that accept the layer in this precision."""
    values = [shape and SimpleNamespace(shape=shape, dtype=precision) for shape in shapes]
    rows = st.kernels.list(operation, "cuda", values, strides=layer.stride,
                           padding=layer.padding, groups=layer.groups)  # fmt: skip
    return [row["name"] for row in rows if row["accepts"]]


def profile(model: st.Model, layer: NamedLayer, precision: str) -> dict[str, dict]:
    """Return the kernels of a training step by operation, with their shortest time."""
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss, device="cuda", precision=precision)
    random = np.random.default_rng(0)
    x = random.standard_normal(layer.shapes[0], dtype=np.float32)
    labels = random.integers(0, layer.filters, layer.batch)
    return {row["operation"]: row for row in model.profile(x, labels, ROUNDS)}


def launch_microseconds() -> float:
    """Return the time of the smallest kernel: launching it and waiting."""
    model = st.Sequential([st.Input((4,)), st.Dense(4, activation="relu")])
    model.compile("sgd", "sparse_categorical_crossentropy", device="cuda")
    rows = model.profile(np.zeros((1, 4), np.float32), np.zeros(1, np.int64), 50)
    return min(row["microseconds"] for row in rows if "microseconds" in row)


def layer_rows(device, timed: bool) -> list[dict]:
    """Return a row for each named layer, precision, direction and kernel."""
    launch = launch_microseconds() if timed else 0.0
    rows = []
    for layer, precision in product(NAMED_LAYERS, PRECISIONS):
        for operation, shapes in problems(layer).items():
            # A gradient has the shape of the last input, which is not read.
            values = layer.shapes if operation == "conv2d" else shapes
            work = product_of(operation, values, layer.groups)
            limit = work.limit(device, precision)[0] * 1e3
            for kernel in kernels_of(layer, operation, shapes, precision):
                taken = None
                if timed:
                    with st.kernels.use(f"{operation}={kernel}"):
                        found = profile(network_of(layer), layer, precision)[operation]
                    taken = max(found["microseconds"] - launch, 0.1) / 1e3
                    print(f"{layer.name} {operation} {precision} {kernel}: {taken * 1e3:.1f} us, "
                          f"limit {limit * 1e3:.1f}", flush=True)  # fmt: skip
                rows.append({
                    "layer": layer.name, "batch": layer.batch, "direction":
                    operation.replace("conv2d_", "").replace("conv2d", "forward"),
                    "operation": operation, "kernel": kernel, "dtype": precision,
                    "milliseconds": taken, "limit_ms": limit, "limit_of": device.name,
                    "limit_percent": 100 * limit / taken if taken else None,
                })  # fmt: skip
    return rows


def training_rows(timed: bool) -> list[dict]:
    """Return the rates of the workloads a64 and b64 in training."""
    from ours import small_cnn

    rows = []
    for name, make in (("a64", lambda: small_cnn(0.5)), ("b64", st.zoo.lenet)):
        model, batch = make(), 64
        optimizer = st.Adam(1e-3) if name == "a64" else st.SGD(0.01)
        model.compile(optimizer, "sparse_categorical_crossentropy", device="cuda")
        random = np.random.default_rng(0)
        x = random.random((batch, 28, 28, 1), dtype=np.float32)
        labels = random.integers(0, 10, batch)
        row = {"workload": name, "batch": batch, "milliseconds": None, "images_per_second": None}
        step = model.train_step(batch)
        losses = [step(x, labels).item() for _ in range(5 if timed else 1)]
        if timed:
            start, steps = time.monotonic(), 0
            while time.monotonic() - start < TRAIN_SECONDS:
                losses.append(step(x, labels).item())
                steps += 1
            seconds = (time.monotonic() - start) / steps
            if not np.isfinite(losses).all() or losses[-1] >= losses[0]:
                raise SystemExit(f"{name} does not learn: losses {losses[0]} ... {losses[-1]}")
            row.update(milliseconds=seconds * 1e3, images_per_second=batch / seconds)
        row["graph_nodes"] = model.graph_nodes(batch, "train")
        rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--no-times", action="store_true", help="list the kernels, time none")
    options = parser.parse_args()
    described = st._striate.describe_device("cuda")
    device = H100 if "H100" in described or "H200" in described else A100
    rows = layer_rows(device, not options.no_times)
    training = training_rows(not options.no_times)
    options.json.write_text(json.dumps({"layers": rows, "training": training}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
