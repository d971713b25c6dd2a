"""Tests of the limits and estimates that tools/kernel-report --network prints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import network_report
from roofline import A100, H100, NAMED_LAYERS, Product, product_of, tile_of, winograd_product

# Microseconds, computed by hand from peak rates and the bytes of x, w and y.
LIMITS = {
    "LeNet-like 1-32 5x5": ("7.9M", "4.0M", "16.5C"),
    "AlexNet conv1": ("403C", "34.0M", "1384C"),
    "VGG16 1_2": ("1770C", "123M", "6071C"),
    "VGG16 5_x": ("442C", "29.9C", "1518C"),
    "ResNet-50 stem": ("113C", "18.2M", "387C"),
    "ResNet-50 c2 1x1": ("49.2C", "19.2M", "169C"),
    "ResNet-50 c5 1x1": ("49.2C", "3.3C", "169C"),
    "MobileNet depthwise": ("15.3M", "7.7M", "25.2M"),
}


@pytest.mark.parametrize("layer", NAMED_LAYERS, ids=lambda layer: layer.name)
def test_limits_of_known_layers(layer):
    pairs = [(H100, "float32"), (H100, "bfloat16"), (A100, "float32")]
    found = [layer.product.limit(device, dtype) for device, dtype in pairs]
    digits = [0 if seconds >= 1e-4 else 1 for seconds, _ in found]
    texts = tuple(f"{s * 1e6:.{d}f}{bound}" for (s, bound), d in zip(found, digits))
    assert texts == LIMITS.get(layer.name, texts)
    assert all(seconds > 0 for seconds, _ in found)


SHAPES = [[2, 9, 8, 6], [10, 3, 3, 6], [2, 5, 4, 10]]  # 3x3 with stride 2 and padding 1


def test_the_products_of_a_convolution():
    x, w, y = SHAPES
    forward = product_of("conv2d", [x, w, [10], y])
    assert (forward.parts, forward.columns, forward.depth) == ((40,), 10, 54)
    weight = product_of("conv2d_backward_weight", [x, y, w, [10]])
    assert (weight.parts, weight.columns, weight.depth) == ((10,), 54, 40)
    grouped = product_of("conv2d", [x, [10, 3, 3, 3], y], groups=2)
    assert (grouped.parts, grouped.columns, grouped.depth) == ((40, 40), 5, 27)


def test_a_strided_gradient_is_a_product_for_each_residue():
    x, w, y = SHAPES
    found = product_of("conv2d_backward_input", [y, w, x])
    assert found.parts == (2 * 5 * 4, 2 * 5 * 4, 2 * 4 * 4, 2 * 4 * 4)
    assert sum(found.parts) == 2 * 9 * 8
    assert found.depth == 3 * 3 * 10 / 4  # no multiplications with zeros


def test_the_three_products_of_a_dense_layer():
    assert product_of("matmul", [[32, 400], [400, 120], [120], [32, 120]]).depth == 400
    assert product_of("matmul", [[32, 120], [400, 120], [32, 400]]).depth == 120
    weight = product_of("matmul", [[32, 400], [32, 120], [400, 120]])
    assert (weight.parts, weight.columns, weight.depth) == ((400,), 120, 32)


def test_the_products_of_winograds_method():
    found = winograd_product([[32, 14, 14, 128], [256, 3, 3, 128], [32, 14, 13, 256]])
    assert (found.parts, found.columns, found.depth) == ((32 * 7 * 7,) * 16, 256, 128)
    assert found.blocks((128, 128), 1) == 13 * 2 * 16


def test_an_operation_that_is_no_product():
    with pytest.raises(ValueError, match="relu"):
        product_of("relu", [[1], [1]])


def test_grids_and_estimates():
    product = Product((12544,), 256, 2304, 1)
    assert product.blocks((128, 128), 1) == 196
    assert product.blocks((128, 64), 3) == 98 * 4 * 3
    # 196 blocks are two waves on 108 multiprocessors.
    block = 2 * 128 * 128 * 2304
    wanted = 2 * block * 108 / (19.5e12 * 0.85)
    found = product.estimate(A100, "float32", (128, 128), 1, 0.85 * 19.5e12)
    assert found == pytest.approx(wanted)
    assert wanted > product.limit(A100, "float32")[0]


def test_plans_are_read():
    assert tile_of("128x64, 3 slices, vectors") == ((128, 64), 3)
    assert tile_of("64x32") == ((64, 32), 1)


def test_shares_come_from_the_kernel_that_the_plan_names():
    kernels = [
        {"kernel": "conv2d_implicit_gemm_backward_input_kernel<float, Tile<128, 64, 8>, true>",
         "ffma_percent": 72.0},
        {"kernel": "conv2d_implicit_gemm_backward_input_kernel<float, Tile<128, 64, 8>, false>",
         "ffma_percent": 63.0},
        {"kernel": "matmul_tiled_kernel<float, Tile<64, 32, 4>, true, false>",
         "ffma_percent": 70.0},
    ]  # fmt: skip

    def share(operation, entry, detail):
        return network_report.share_of(kernels, operation, entry, detail, "float32")

    assert share("conv2d_backward_input", "implicit_gemm", "128x64, 2 slices, vectors") == 0.72
    assert share("conv2d_backward_input", "implicit_gemm", "128x64") == 0.63
    assert share("matmul", "tiled", "64x32, vectors") == 0.70


def test_rates_of_tensor_cores_and_others():
    kernels = [{"kernel": "conv2d_implicit_gemm_kernel<bf16, Tile<128, 64, 8>, true>",
                "ffma_percent": 50.0}]  # fmt: skip

    def rate(entry, detail):
        row = {"operation": "conv2d", "entry": entry, "detail": detail}
        return network_report.rate_of(kernels, row, "bfloat16")

    assert rate("tensor_core", "64x64, 2 slices in two passes") == 0.4 * 312e12
    assert rate("implicit_gemm", "128x64, vectors") == 0.5 * 19.5e12


def test_what_a_network_must_not_say():
    row = {"layer": "a", "direction": "forward", "operation": "conv2d", "waves": 0.5, "blocks": 54}
    found = {"dtype": "float16", "batch": 32, "layers": [row],
             "tensor_core_percent": {"forward": 97.0, "backward_input": 89.9}}  # fmt: skip
    lines = network_report.violations(found)
    assert len(lines) == 2
    assert "backward_input: tensor_core takes 89.9 %" in lines[0]
    assert "54 blocks leave 50 %" in lines[1]
    assert network_report.violations({**found, "dtype": "float32", "batch": 8}) == []
