"""Tests of what the planner makes of ResNet-50's products, by tools/kernel-report --network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import network_report  # noqa: E402


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_resnet50_at_batch_32_fills_the_device_and_its_tensor_cores(dtype):
    found = network_report.report("resnet50", 32, dtype, [])
    # 53 convolutions and a dense layer in three directions; the first has no gradient by its input.
    assert len(found["layers"]) == 3 * 54 - 1
    assert network_report.violations(found) == []
    assert found["small_grids"] == []
