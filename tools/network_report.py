"""Estimate a network's training step on CUDA from its plan: limits, waves, and tensor cores.

The plan is made by the plug-in itself; a machine without a GPU gives it the tests' stand-in for the
CUDA runtime (STRIATE_CUDART), under which nothing has to run here.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

from roofline import A100, H100, Product, product_of, tile_of, winograd_product

OPERATIONS = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight", "matmul")
# A model's values of 16 bits are bfloat16. The planner knows elements of 16 bits only, so the plans
# of float16 are the same; which kernels take it is asked for each product.
PRECISIONS = {"float32": "float32", "float16": "bfloat16", "bfloat16": "bfloat16"}
TENSOR_SHARES = {(128, 128): 0.6, (64, 64): 0.4}  # of the peak, as kernels/cuda/gemm_plan.cpp
WANTED_SHARE = 90  # percent of the multiply-adds on tensor cores, in 16 bits
LEAST_BATCH = 32  # from which the grid of every layer must fill the device


def shapes_of(row: dict) -> list[list[int]]:
    """Return the shapes of a plan's row."""
    found = [re.match(r"\[([\d, ]*)\]", value).group(1) for value in row["values"]]
    return [[int(n) for n in text.split(",")] if text else [] for text in found]


def direction_of(row: dict, seen: set) -> str:
    """Return the direction; the gradients of a dense layer are products too, input's first."""
    for name in ("backward_input", "backward_weight"):
        if name in row["operation"]:
            return name
    if row["operation"] != "matmul":
        return "forward"
    for name in ("forward", "backward_input", "backward_weight"):
        if (row["layer"], name) not in seen:
            seen.add((row["layer"], name))
            return name
    return "backward_weight"


def accepting(st, row: dict, shapes: list[list[int]], config: dict, dtype: str) -> dict[str, str]:
    """Return {entry: reason for declining, "" where it accepts} of the row's problem in a type."""
    typed = [SimpleNamespace(shape=tuple(shape), dtype=dtype) for shape in shapes]
    images = [t for t in typed if len(t.shape) == 4]
    options: dict = {}
    if row["operation"] == "matmul":
        (a, b), y = typed[:2], next(t for t in typed[2:] if len(t.shape) == 2)
        options["transpose_a"] = a.shape[0] != y.shape[0]
        options["transpose_b"] = b.shape[1] != y.shape[1]
        inputs = [a, b, None]
    else:
        for name in ("strides", "padding", "dilation_rate", "groups"):
            if name in config:
                options[name] = config[name]
        inputs = {
            "conv2d": [*images[:2], None, None],
            "conv2d_backward_input": [*images[:2], images[-1]],
            "conv2d_backward_weight": images[:3],
        }[row["operation"]]
    try:
        rows = st.kernels.list(row["operation"], "cuda", inputs, **options)
    except st.DTypeError as error:  # no kernel is asked where the operation itself refuses
        return {"tensor_core": str(error)}
    return {entry["name"]: entry["reason"] for entry in rows}


def share_of(kernels: list[dict], operation: str, entry: str, detail: str, dtype: str) -> float:
    """Return the share of multiply-adds in the main loop of the kernel that a plan names."""
    rows, columns = tile_of(detail)[0]
    letters = {"float32": "float", "float16": "f16", "bfloat16": "bf16"}[dtype]
    vectors = "true" if "vectors" in detail else "false"
    stem = f"matmul_{entry}" if operation == "matmul" else operation.replace("2d", f"2d_{entry}", 1)
    name = f"{stem}_kernel<{letters}, Tile<{rows}, {columns},"
    shares = [k["ffma_percent"] / 100 for k in kernels
              if k["kernel"].startswith(name) and f">, {vectors}" in k["kernel"]]  # fmt: skip
    return min(shares, default=1.0)


def rate_of(kernels: list[dict], row: dict, dtype: str) -> float:
    """Return the operations each second of an A100 that the kernel of a plan's row can reach."""
    entry, detail = row["entry"], row["detail"]
    if entry == "tensor_core":
        return A100.flops[dtype] * TENSOR_SHARES[tile_of(detail)[0]]
    return A100.flops["float32"] * share_of(kernels, row["operation"], entry, detail, dtype)


def layer_rows(st, model, batch: int, dtype: str, kernels: list[dict]) -> list[dict]:
    """Return a row for each product in a training step, with its limits and the estimate."""
    layers = {layer.name: layer.get_config() for layer in model.layers}
    rows, seen = [], set()
    for row in model.explain(batch, "train"):
        if row["operation"] not in OPERATIONS:
            continue
        shapes = shapes_of(row)
        config = layers[row["layer"]]
        product: Product = product_of(row["operation"], shapes, config.get("groups", 1))
        entries = accepting(st, row, shapes, config, dtype)
        tile, slices = tile_of(row["detail"])
        limit, bound = product.limit(A100, dtype)
        chosen = row["entry"]
        if entries.get(chosen, ""):
            raise ValueError(f"{row['layer']}: {chosen} is planned, but {entries[chosen]}")
        grid = winograd_product(shapes) if chosen == "winograd" else product
        blocks = grid.blocks(tile, slices)
        estimate = grid.estimate(A100, dtype, tile, slices, rate_of(kernels, row, dtype))
        made = {
            "layer": row["layer"],
            "operation": row["operation"],
            "direction": direction_of(row, seen),
            "dtype": dtype,
            "gflop": 2 * product.multiply_adds / 1e9,
            "limit_ms": limit * 1e3,
            "limit_h100_ms": product.limit(H100, dtype)[0] * 1e3,
            "bound": bound,
            "accepting": [name for name, reason in entries.items() if not reason],
            "tensor_core": entries.get("tensor_core", "there is none"),
            "chosen": chosen,
            "detail": row["detail"],
            "estimate_ms": estimate * 1e3,
            "blocks": blocks,
            "waves": round(blocks / A100.multiprocessors, 2),
        }
        rows.append(made)
    return rows


def report(name: str, batch: int, dtype: str, kernels: list[dict]) -> dict:
    """Return {network, batch, dtype, device, layers, tensor_core_percent, small_grids, ...}."""
    import striate as st
    from striate.compare import network

    model = network(name)
    model.compile("sgd", "sparse_categorical_crossentropy", device="cuda",
                  precision=PRECISIONS[dtype])  # fmt: skip
    layers = layer_rows(st, model, batch, dtype, kernels)
    covered = {}
    for direction in ("forward", "backward_input", "backward_weight"):
        part = [row for row in layers if row["direction"] == direction]
        total = sum(row["gflop"] for row in part)
        on_tensor_cores = sum(row["gflop"] for row in part if row["tensor_core"] == "")
        covered[direction] = round(100 * on_tensor_cores / total, 1) if total else 0.0
    small = [f"{row['layer']} {row['direction']}: {row['waves']}"
             for row in layers if row["blocks"] < A100.multiprocessors]  # fmt: skip
    return {
        "network": name,
        "batch": batch,
        "dtype": dtype,
        "device": A100.name,
        "estimated": True,
        "plan_device": st._striate.describe_device("cuda"),
        "layers": layers,
        "tensor_core_percent": covered,
        "small_grids": small,
    }


def print_report(found: dict) -> None:
    """Print a line for each product and the sums; all times are estimates."""
    print(f"{found['network']}, batch {found['batch']}, {found['dtype']}: microseconds on "
          f"{found['device']}, estimated from the code, not measured")  # fmt: skip
    print(f"{'layer':30} {'direction':16} {'limit':>9} {'estimate':>9} {'blocks':>7} {'waves':>6}")
    for row in found["layers"]:
        line = f"{row['layer'][:30]:30} {row['direction']:16} "
        line += f"{row['limit_ms'] * 1e3:8.1f}{row['bound']} "
        line += f"{row['estimate_ms'] * 1e3:9.1f} {row['blocks']:7} {row['waves']:6.1f} "
        print(f"{line}{row['chosen']} {row['detail']}")
    sums = [sum(row[key] for row in found["layers"]) for key in ("limit_ms", "estimate_ms")]
    print(f"sum of limits {sums[0]:.2f} ms, of estimates {sums[1]:.2f} ms")
    shares = ", ".join(f"{name} {share} %" for name, share in found["tensor_core_percent"].items())
    print(f"multiply-adds that tensor_core takes: {shares}")
    print(f"grids of less than one wave: {len(found['small_grids'])}")


def violations(found: dict) -> list[str]:
    """Return what a report must not say: too little on tensor cores, grids that leave SMs idle."""
    lines = []
    if found["dtype"] in ("float16", "bfloat16"):
        lines += [f"{name}: tensor_core takes {share} % of the multiply-adds, at least "
                  f"{WANTED_SHARE} % wanted"
                  for name, share in found["tensor_core_percent"].items()
                  if share < WANTED_SHARE]  # fmt: skip
    if found["batch"] >= LEAST_BATCH:
        lines += [f"{row['layer']} {row['direction']}: {row['blocks']} blocks leave "
                  f"{100 * (1 - row['waves']):.0f} % of {A100.multiprocessors} multiprocessors idle"
                  for row in found["layers"]
                  if row["blocks"] < A100.multiprocessors]  # fmt: skip
    return lines
