"""Kernels whose work is shared out for a number of threads, where OpenMP gives fewer."""

import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import sys
import numpy as np
import striate as st
st.set_threads(4)
draw = np.random.default_rng(3).standard_normal
x, dy, w = (draw(s).astype("f4") for s in ((4, 14, 14, 32), (4, 14, 14, 32), (32, 3, 3, 32)))
np.save(sys.argv[1], st.ops.call("conv2d_backward_weight", [x, dy, w], {"padding": "same"}).numpy())
"""


def gradient(folder, kernel, **settings):
    """Return the filters' gradient as a process with these environment variables computes it."""
    file = folder / f"{kernel}.npy"
    kernels = f"conv2d_backward_weight={kernel},*=auto"
    variables = {**os.environ, "STRIATE_KERNELS": kernels, **settings}
    subprocess.run([sys.executable, "-c", SCRIPT, str(file)], env=variables, check=True)
    return np.load(file)


@pytest.mark.parametrize("settings", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}])
def test_no_part_is_left_out_where_openmp_gives_fewer_threads(tmp_path, settings):
    expected = gradient(tmp_path, "reference")
    for kernel in ("onednn", "direct", "winograd"):
        found = gradient(tmp_path, kernel, **settings)
        assert np.abs(found - expected).max() < 2e-3, kernel
