"""Training on device "cuda": the same numbers as the CPU, whole steps as one graph, files for both.

Without a GPU the stage `cuda` of ./tools/test runs this under the emulator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import striate as st

BATCH = 16


@pytest.fixture(scope="module")
def pictures():
    """Return a few training pictures, and as many of which the classes are told by place."""
    (x, y), _ = st.data.fashion_mnist()
    x = (x[:2048] / np.float32(255)).astype("float32").reshape(-1, 28, 28, 1)
    return x, y[:2048].astype("int64")


def lenet(device, **options):
    st.seed(3)
    model = st.zoo.lenet()
    model.compile(
        st.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        device=device,
        **options,
    )
    return model


def losses(model, pictures, steps, batch=BATCH):
    x, y = pictures
    rows = [slice(i * batch, (i + 1) * batch) for i in range(steps)]
    step = model.train_step()
    return np.array([step(x[r], y[r]) for r in rows])


def test_losses_follow_the_cpus(pictures):
    """As workload b64 of tools/bench trains."""

    def found(device):
        st.seed(0)
        model = st.zoo.lenet()
        model.compile(st.SGD(0.01), "sparse_categorical_crossentropy", device=device)
        return losses(model, pictures, 30, batch=64)

    ours, theirs = found("cuda"), found("cpu")
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours[:10], theirs[:10], rtol=1e-4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def nodes_of_a_step(model, pictures):
    x, y = pictures
    model.train_step()(x[:64], y[:64])
    return model.graph_nodes(64, "train")


def test_a_step_is_one_small_graph(pictures):
    assert 0 < nodes_of_a_step(lenet("cuda"), pictures) <= 20


def test_a_step_of_a_larger_network_is_one_small_graph(pictures):
    def conv(filters):
        return st.Conv2D(filters, 3, padding="same", activation="relu")

    layers = [st.Input((28, 28, 1)), conv(32), conv(64), st.MaxPool2D(2), conv(128)]
    layers += [st.MaxPool2D(2), st.Flatten(), st.Dense(128, activation="relu"), st.Dropout(0.25)]
    model = st.Sequential([*layers, st.Dense(10)])
    loss = "sparse_categorical_crossentropy"
    model.compile(st.Adam(1e-3), loss, ["accuracy"], device="cuda")
    assert 0 < nodes_of_a_step(model, pictures) <= 30


def test_weights_and_predictions_agree_with_the_cpu(pictures, tmp_path):
    model = lenet("cuda")
    losses(model, pictures, 5)
    model.save(tmp_path / "cuda.safetensors")
    there = model.predict(pictures[0][:8])
    loaded = st.load(tmp_path / "cuda.safetensors")
    for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    loaded.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
    np.testing.assert_allclose(loaded.predict(pictures[0][:8]), there, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_checkpoint_goes_on_where_there_is_no_cuda(tmp_path, precision):
    st.seed(3)
    model = st.Sequential([st.Input((6, 6, 8)), st.Conv2D(8, 3), st.Flatten(), st.Dense(3)])
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, device="cuda", precision=precision)
    x, y = np.ones((4, 6, 6, 8), "float32"), np.zeros(4, "int64")
    model.train_step()(x, y)
    model.save(tmp_path / "cuda.safetensors", checkpoint=True)
    code = (
        "import sys, warnings, numpy as np, striate as st\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    model = st.load(sys.argv[1])\n"
        "print(*(str(w.message) for w in said), sep='; ')\n"
        "x = np.ones((4, 6, 6, 8), 'float32')\n"
        "print(*model.predict(x)[0]); model.train_step()(x, np.zeros(4, 'int64'))"
    )
    file = str(tmp_path / "cuda.safetensors")
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True,
                          env={**os.environ, "STRIATE_CUDART": "/nonexistent"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    warned, predicted = done.stdout.splitlines()
    assert "the device was 'cuda', now it is 'cpu'" in warned
    assert "were chosen" not in warned  # kernels of the GPU are not looked for on the CPU
    assert ("the precision was 'bfloat16', now it is 'float32'" in warned) == (
        precision == "bfloat16"
    )
    wanted = model.predict(x)[0]
    tolerance = 1e-5 if precision == "float32" else 2e-2 * np.abs(wanted).max()
    np.testing.assert_allclose([float(v) for v in predicted.split()], wanted, atol=tolerance)


def test_a_file_of_the_cpu_goes_on_here(pictures, tmp_path):
    losses(lenet("cpu"), pictures, 1)
    model = lenet("cpu")
    losses(model, pictures, 3)
    model.save(tmp_path / "cpu.safetensors")
    loaded = st.load(tmp_path / "cpu.safetensors")
    loaded.compile("sgd", "sparse_categorical_crossentropy", device="cuda")
    there = loaded.predict(pictures[0][:8])
    np.testing.assert_allclose(there, model.predict(pictures[0][:8]), rtol=1e-4, atol=1e-6)


def test_a_loss_that_is_not_finite_changes_nothing(pictures):
    model = lenet("cuda")
    losses(model, pictures, 2)
    before = model.get_weights()
    huge = [w.copy() for w in before]
    huge[-1][:] = np.inf
    model.set_weights(huge)
    with pytest.raises(st.NumericsError, match="finite at step 2"):
        losses(model, pictures, 1)
    for ours, theirs in zip(model.get_weights(), huge):
        np.testing.assert_array_equal(ours, theirs)
    model.set_weights(before)
    assert np.isfinite(losses(model, pictures, 1)).all()


def test_labels_outside_the_classes_are_named(pictures):
    model = lenet("cuda")
    x, y = pictures[0][:BATCH], pictures[1][:BATCH].copy()
    y[5] = 10
    with pytest.raises(st.LabelError, match="sample 5"):
        model.train_step()(x, y)
    y[5] = 9
    model.train_step()(x, y)


def test_shards_give_nearly_the_same(pictures):
    whole = losses(lenet("cuda"), pictures, 3)
    parts = losses(lenet("cuda", shards=2), pictures, 3)
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


PLAIN = """
import hashlib, numpy as np, striate as st
rng = np.random.default_rng(0)
x = rng.random((16, 28, 28, 1), dtype=np.float32); y = rng.integers(0, 10, 16)
st.seed(1)
model = st.zoo.lenet()
model.compile(st.Adam(1e-3), "sparse_categorical_crossentropy", device="cuda")
step = model.train_step()
for _ in range(3):
    step(x, y)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest(),
      model.graph_nodes(16, "train") > 0)
"""


def test_graphs_and_single_launches_give_the_same_bytes():
    said = {}
    for graphs in ("1", "0"):
        environment = {**os.environ, "STRIATE_CUDA_GRAPHS": graphs}
        command = [sys.executable, "-c", PLAIN]
        said[graphs] = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
    assert said["1"][0] == said["0"][0]
    assert (said["1"][1], said["0"][1]) == ("True", "False")


def test_train_emulated_writes_what_it_saw(tmp_path):
    tool, file = Path(__file__).parents[2] / "tools" / "train_emulated.py", tmp_path / "it.json"
    command = [sys.executable, tool, "--steps", "2", "--test-pictures", "50", "--json", file]
    command += ["--least-accuracy", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    said, report = done.stdout, json.loads(file.read_text())
    assert done.returncode == 1 and "at least 1.0 was expected" in done.stderr
    assert len(report["losses"]) == report["steps"] == 2
    assert report["test_pictures"] == 50 and 0 <= report["accuracy"] <= 1
    assert f"test accuracy {report['accuracy']:.4f} on 50 pictures" in said
