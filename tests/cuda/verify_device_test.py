"""Tests of what tools/verify-gpu times, on layers small enough for an emulator."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import verify_device  # noqa: E402
from roofline import H100, NamedLayer  # noqa: E402

LAYERS = [
    NamedLayer("plain", 2, 8, 32, 64, 3, padding=1),
    NamedLayer("depthwise", 2, 8, 32, 32, 3, padding=1, groups=32),
    NamedLayer("stem", 2, 17, 3, 16, 7, stride=2, padding=3),
]


def test_each_layer_is_timed_by_each_kernel_in_both_precisions(monkeypatch):
    monkeypatch.setattr(verify_device, "NAMED_LAYERS", LAYERS)
    monkeypatch.setattr(verify_device, "ROUNDS", 2)
    rows = verify_device.layer_rows(H100, timed=True)
    assert all(row["milliseconds"] > 0 and row["limit_percent"] > 0 for row in rows)
    taken = {(row["layer"], row["direction"], row["dtype"], row["kernel"]) for row in rows}
    assert len(taken) == len(rows)
    for direction in ("forward", "backward_input", "backward_weight"):
        assert ("plain", direction, "bfloat16", "tensor_core") in taken
        for layer in LAYERS:
            for dtype in ("float32", "bfloat16"):
                assert (layer.name, direction, dtype, "implicit_gemm") in taken
    assert ("stem", "forward", "float32", "direct") in taken
    assert ("depthwise", "backward_weight", "bfloat16", "depthwise") in taken


def test_training_is_one_graph_of_few_nodes():
    nodes = {row["workload"]: row["graph_nodes"] for row in verify_device.training_rows(False)}
    assert nodes.keys() == {"a64", "b64"}
    assert 0 < nodes["b64"] <= 20 and 0 < nodes["a64"] <= 30


@pytest.mark.parametrize("layer", verify_device.NAMED_LAYERS, ids=lambda layer: layer.name)
def test_tensor_cores_take_every_named_layer_of_many_channels(layer):
    for operation, shapes in verify_device.problems(layer).items():
        names = verify_device.kernels_of(layer, operation, shapes, "bfloat16")
        assert ("tensor_core" in names) == (layer.channels % 8 == 0 and layer.groups == 1)
