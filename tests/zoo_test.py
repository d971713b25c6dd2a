"""Tests of the zoo: published parameter counts, and that every network can learn, save and load."""

from __future__ import annotations

import time

import numpy as np
import pytest
import striate as st

# Each network at a size at which 16 pictures are learnt in seconds.
SMALL = {
    "lenet": ((12, 12, 1), st.Adam(3e-3)),
    "small_cnn": ((8, 8, 1), st.Adam(2e-3)),
    "alexnet": ((67, 67, 3), st.Adam(1e-4)),
    "vgg16": ((32, 32, 3), st.Adam(1e-4)),
    "resnet18": ((32, 32, 3), st.Adam(1e-3)),
    "resnet18_cifar": ((8, 8, 3), st.Adam(1e-3)),
    "resnet50": ((32, 32, 3), st.Adam(1e-3)),
}


def _shapes(model):
    return {row["layer"]: row["shape"] for row in model.summary(as_dict=True)["layers"]}


def _trainable(model):
    return model.summary(as_dict=True)["trainable_params"]


def test_every_network_is_tested():
    assert sorted(SMALL) == sorted(st.zoo.names())


def test_lenet():
    model = st.zoo.lenet()
    assert model.count_params() == 61_706
    assert _shapes(model)["conv2d_1"] == [None, 10, 10, 16]


def test_alexnet():
    model = st.zoo.alexnet()
    first = model.layers[0]
    assert _shapes(model)[first.name] == [None, 55, 55, 96]
    assert sum(int(np.prod(weight.shape)) for weight in first.weights) == 34_944


def test_vgg16_is_built_at_full_size_in_seconds():
    start = time.perf_counter()
    model = st.zoo.vgg16()
    seconds = time.perf_counter() - start
    assert model.count_params() == _trainable(model) == 138_357_544
    assert seconds < 10
    assert _shapes(model)["max_pool2d_4"] == [None, 7, 7, 512]
    assert model.summary(as_dict=True)["macs"] == 15_470_264_320


def test_residual_networks():
    model = st.zoo.resnet18()
    assert _trainable(model) == 11_689_512
    assert model.count_params() == 11_689_512 + 9_600  # the statistics of 4,800 channels
    model = st.zoo.resnet50()
    assert _trainable(model) == 25_557_032
    assert model.count_params() == 25_557_032 + 53_120
    assert _shapes(model)["pool"] == [None, 2048]


def test_sizes_and_classes_are_chosen():
    model = st.zoo.resnet18(input_shape=(64, 48, 1), classes=7)
    assert model.inputs[0].shape == (None, 64, 48, 1)
    assert model.outputs[0].shape == (None, 7)
    with pytest.raises(st.ShapeError, match="Conv2D"):
        st.zoo.lenet(input_shape=(8, 8, 1))
    with pytest.raises(AttributeError):
        st.zoo.resnet19  # noqa: B018


@pytest.mark.parametrize("name", sorted(SMALL))
def test_overfits_sixteen_pictures_saves_and_reloads(name, tmp_path):
    shape, optimizer = SMALL[name]
    st.seed(1)
    model = getattr(st.zoo, name)(input_shape=shape, classes=4)
    random = np.random.default_rng(0)
    x = random.standard_normal((16, *shape)).astype(np.float32)
    y = random.integers(0, 4, 16)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    step = model.train_step()
    losses = []
    while len(losses) < 150 and not (len(losses) > 3 and max(losses[-3:]) < 0.05):
        losses.append(float(step(x, y)))
    assert max(losses[-3:]) < 0.05, f"{losses[::10]}"
    model.save(tmp_path / "m.safetensors")
    again = st.load(tmp_path / "m.safetensors")
    assert again.name == name and again.count_params() == model.count_params()
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
