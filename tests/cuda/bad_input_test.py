"""What device "cuda" refuses, in words, and that it goes on afterwards.

Faults are posed by the stand-in runtime of the tests; a GPU cannot be told to have them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import striate as st

EMULATED = st._striate.describe_device("cuda").startswith("emulator")
PROGRAM = """
import numpy as np
import striate as st

def model():
    st.seed(1)
    model = st.Sequential([
        st.Input((6, 6, 1)), st.Conv2D(4, 3), st.MaxPool2D(2, name="pool"), st.Flatten(),
        st.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy", device="cuda")
    return model

def train(model, images):
    x = np.ones((images, 6, 6, 1), "float32")
    return float(model.train_step()(x, np.zeros(images, "int64")))

def says(call, *values):
    try:
        print(call(*values))
    except st.Error as error:
        print(type(error).__name__, error)
"""
NO_DEVICE = "says(lambda: st.Tensor([1.0]).to('cuda')); print(st.ops.relu([2.0]).numpy())"
TWICE = "one = model(); says(train, one, 4); says(train, model(), 4)"
LOSS = r"^\d\.\d+$"
STAYS = "This error stays until the process ends: restart it"

POSES = {
    "no device": (
        {"EMULATOR_DEVICES": "0"},
        NO_DEVICE,
        [r"DeviceError device 'cuda' cannot be used: .* finds no device\. Use device 'cpu'",
         r"\[2\.\]"],
    ),
    "an old driver": (
        {"EMULATOR_DRIVER": "12080"},
        NO_DEVICE,
        [r"the NVIDIA driver serves CUDA 12\.8\. Install NVIDIA's driver 580 or newer", r"\[2\.\]"],
    ),
    "no driver": (
        {"EMULATOR_DRIVER": "0"},
        NO_DEVICE,
        [r"there is no NVIDIA driver\. Install NVIDIA's driver 580 or newer", r"\[2\.\]"],
    ),
    "an old runtime": (
        {"EMULATOR_RUNTIME": "12080"},
        NO_DEVICE,
        [r"the CUDA runtime .*libcudart.* is of CUDA 12\.8, not 13\. Install CUDA 13, or",
         r"\[2\.\]"],
    ),
    "an old device": (
        {"EMULATOR_CAPABILITY": "7.0"},
        NO_DEVICE,
        [r"DeviceError .*CUDA devices need compute capability 7\.5 or more, got .*7\.0.*\. "
         r"Use device 'cpu'", r"\[2\.\]"],
    ),
    "no code for the device": (
        {"EMULATOR_CAPABILITY": "7.5"},
        "says(train, model(), 4); print(st.ops.relu([2.0]).numpy())",
        [r"DeviceError .*the CUDA plug-in holds no code for this GPU, got compute capability 7\.5 "
         r"for kernel '.*'\. Build with STRIATE_CUDA_ARCHITECTURES=75, or use device 'cpu'",
         r"\[2\.\]"],
    ),
    "a launch that is refused": (
        {"EMULATOR_FAIL_LAUNCH": "max_kernel=701"},
        TWICE + "; print(st.Tensor([1.0]).to('cuda').numpy())",
        [r'KernelError \[MaxPool2D "pool"\] kernel \'max_pool2d\' could not be launched: too many '
         r"resources requested for launch, got grid 1 x 1 x 1, 256 threads, 0 bytes of shared",
         r'KernelError \[MaxPool2D "pool"\]',
         r"\[1\.\]"],
    ),
    "a kernel that fails": (
        {"EMULATOR_FAIL_LAUNCH": "max_kernel"},
        TWICE,
        [f"DeviceError work on the GPU failed: unspecified launch failure, .*{STAYS}. With "
         "STRIATE_CUDA_GRAPHS=0 and CUDA_LAUNCH_BLOCKING=1 set, it names layer and kernel",
         f"DeviceError .*{STAYS}"],
    ),
    "a sort after a kernel that failed": (
        {"EMULATOR_FAIL_LAUNCH": "max_kernel"},
        "x = st.Tensor(np.ones(2, 'f4')).to('cuda'); says(train, model(), 4); says(st.ops.sort, x)",
        [f"DeviceError work on the GPU failed: unspecified launch failure, .*{STAYS}",
         f"DeviceError work on the GPU failed: unspecified launch failure, .*{STAYS}"],
    ),
    "a kernel that fails, looked for": (
        {"EMULATOR_FAIL_LAUNCH": "max_kernel", "STRIATE_CUDA_GRAPHS": "0",
         "CUDA_LAUNCH_BLOCKING": "1"},
        TWICE,
        [r'KernelError \[MaxPool2D "pool"\] kernel \'max_pool2d\' failed: unspecified launch '
         f"failure, got grid 1 x 1 x 1, 256 threads.*{STAYS}",
         f"DeviceError .*{STAYS}"],
    ),
    "too little memory": (
        {"EMULATOR_MEMORY_BYTES": "20000000"},
        "one = model(); says(train, one, 300_000); says(train, one, 4); says(train, one, 16)",
        [r"OutOfMemoryError the GPU's memory has no room, got \d+ bytes asked, \d+ of 20000000 "
         r"free; a step of this batch needs \d+ at its peak\. Use a smaller batch; "
         r"model\.max_batch\(bytes\) says what fits",
         LOSS, LOSS],
    ),
}  # fmt: skip


@pytest.mark.parametrize("pose", POSES)
def test_a_fault_is_told_and_what_can_goes_on(pose):
    if not EMULATED:
        return  # the GPU has no such fault
    variables, code, patterns = POSES[pose]
    done = subprocess.run([sys.executable, "-c", PROGRAM + code], capture_output=True, text=True,
                          env={**os.environ, "EMULATOR_CHECKS": "bounds", **variables})  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns):
        assert re.search(pattern, line), f"{line!r} does not have {pattern!r}"


ROWS = 70_000  # more than the 65,535 blocks that a grid has in its second and third direction


def on_both(call, *arrays):
    """Call on the CPU and on the device and compare."""
    wanted = np.asarray(call(*arrays))
    found = call(*(st.Tensor(array).to("cuda") for array in arrays))
    assert found.device == "cuda:0"
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-5, atol=1e-5)


MANY_ROWS = {
    "softmax": (lambda x: st.ops.softmax(x), [(ROWS, 3)]),
    "reduce_sum over rows": (lambda x: st.ops.reduce_sum(x, axes=[1]), [(ROWS, 3)]),
    "reduce_mean over columns": (lambda x: st.ops.reduce_mean(x, axes=[0]), [(3, ROWS)]),
    "transpose": (lambda x: st.ops.transpose(x, order=[1, 0]), [(ROWS, 2)]),
    "pad2d": (lambda x: st.ops.pad2d(x, padding=1), [(ROWS, 1, 1, 2)]),
    "max_pool2d": (lambda x: st.ops.max_pool2d(x, pool_size=2), [(ROWS, 2, 2, 1)]),
    "avg_pool2d": (lambda x: st.ops.avg_pool2d(x, pool_size=2), [(ROWS, 2, 2, 1)]),
    "matmul, tall": (lambda a, b: st.ops.matmul(a, b), [(ROWS * 64, 1), (1, 1)]),
    "matmul, wide": (lambda a, b: st.ops.matmul(a, b), [(1, 1), (1, ROWS * 64)]),
    "conv2d": (lambda x, w: st.ops.conv2d(x, w), [(ROWS, 2, 2, 1), (1, 2, 2, 1)]),
    "depthwise conv2d": (
        lambda x, w: st.ops.conv2d(x, w, groups=ROWS),
        [(1, 3, 3, ROWS), (ROWS, 3, 3, 1)],
    ),
}


@pytest.mark.parametrize("name", MANY_ROWS)
def test_more_rows_than_a_grid_has_blocks(name):
    call, shapes = MANY_ROWS[name]
    random = np.random.default_rng(7)
    on_both(call, *(random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes))


@pytest.mark.parametrize("name", [name for name in MANY_ROWS if name != "depthwise conv2d"])
def test_no_rows_at_all(name):
    call, shapes = MANY_ROWS[name]
    on_both(call, *(np.zeros([0 if n >= ROWS else n for n in shape], "f4") for shape in shapes))


def test_tensors_on_different_devices():
    x = st.Tensor(np.ones((2, 3), np.float32))
    with pytest.raises(st.DeviceError) as caught:
        st.ops.add(x.to("cuda"), x)
    assert "cuda:0" in str(caught.value) and "cpu" in str(caught.value)
    assert np.asarray(st.ops.add(x, x)).sum() == 12


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_views_that_are_not_aligned(offset):
    """Rows that begin `offset` elements behind a multiple of 16 bytes."""
    values = np.random.default_rng(3).uniform(-1, 1, 64 + 4).astype(np.float32)
    whole = st.Tensor(values).to("cuda")
    for call in (st.ops.relu, lambda x: st.ops.multiply(x, x), st.ops.softmax):
        part = whole[offset : offset + 64]
        assert part.device == "cuda:0"
        found = call(part)
        assert found.device == "cuda:0"
        np.testing.assert_allclose(
            np.asarray(found), np.asarray(call(values[offset : offset + 64])), rtol=1e-5, atol=1e-7
        )


def test_parts_stay_on_their_device():
    values = np.arange(24, dtype="f4").reshape(4, 3, 2)
    whole = st.Tensor(values).to("cuda")
    for index in (0, -1, slice(1, 3), slice(2, 2), slice(None, None, 2), (1, 2), (..., 0), [0, 3]):
        found = whole[index]
        assert found.device == "cuda:0"
        np.testing.assert_array_equal(found.numpy(), values[index])
    assert [float(row[0, 0]) for row in whole] == [0, 6, 12, 18]
    with pytest.raises(IndexError):
        whole[4]
