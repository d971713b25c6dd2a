"""Convolutions and products of 16-bit numbers: for CUDA devices, and refused on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st
from bad_input import raises

IMAGE, FILTERS = np.zeros((1, 8, 8, 32), np.float16), np.zeros((64, 3, 3, 32), np.float16)


@pytest.mark.parametrize(
    ("operation", "inputs"),
    [("conv2d", (IMAGE, FILTERS)), ("matmul", (IMAGE[0, 0], FILTERS[0, 0].T))],
)
def test_the_cpu_refuses_them(operation, inputs):
    for row in st.kernels.list(operation, inputs=inputs):
        assert not row["accepts"] and "float32" in row["reason"], row
    text = (
        f"{operation} on the CPU takes float32 and float64, got float16. "
        'Convert it with cast(to="float32").'
    )
    raises(st.DTypeError, text, lambda: getattr(st.ops, operation)(*inputs))


def test_types_are_not_mixed():
    text = (
        "[conv2d] w must have the element type of x, got float32 and float16. "
        "Convert one with cast."
    )
    raises(st.DTypeError, text, lambda: st.ops.conv2d(IMAGE, FILTERS.astype(np.float32)))
