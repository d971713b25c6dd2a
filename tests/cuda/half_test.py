"""Which kernels device "cuda" has for convolutions and products of 16-bit numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import striate as st

X, W, Y = (2, 6, 6, 32), (64, 3, 3, 32), (2, 6, 6, 64)
PROBLEMS = [
    ("conv2d", [X, W, None, None], {"padding": 1}),
    ("conv2d_backward_input", [Y, W, X], {"padding": 1}),
    ("conv2d_backward_weight", [X, Y, W], {"padding": 1}),
    ("matmul", [(16, 32), (32, 24), None], {}),
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("operation", "shapes", "options"), PROBLEMS)
def test_tensor_cores_take_them(operation, shapes, options, dtype):
    inputs = [s if s is None else SimpleNamespace(shape=s, dtype=dtype) for s in shapes]
    rows = st.kernels.list(operation, "cuda", inputs, **options)
    assert {row["name"]: row["reason"] for row in rows}["tensor_core"] == ""


def test_they_are_planned_and_run_on_the_device():
    random = np.random.default_rng(0)
    x, w = (random.uniform(-1, 1, s).astype(np.float16) for s in (X, W))
    y = st.ops.conv2d(st.Tensor(x).to("cuda"), st.Tensor(w).to("cuda"), padding=1)
    assert "cuda" in y.device and y.shape == Y
    wanted = np.asarray(st.ops.conv2d(x.astype(np.float32), w.astype(np.float32), padding=1))
    # A result is rounded to 11 bits.
    np.testing.assert_allclose(np.asarray(y), wanted, rtol=2**-10, atol=1e-3)
