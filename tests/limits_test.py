"""Tests of values that options, programs and plans refuse, and of numbers that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st
from bad_input import raises

NAN = float("nan")


@pytest.mark.parametrize(
    "layer, arguments, options, text",
    [
        (st.MaxPool2D, (2,), {"strides": 0}, "'strides': it must be >= 1, got 0."),
        (st.AveragePool2D, (2,), {"strides": (1, 0)}, "'strides': it must be >= 1, got (1, 0)."),
        (
            st.BatchNormalization,
            (),
            {"epsilon": -1},
            "'epsilon': it must be >= 0 and finite, got -1.",
        ),
        (
            st.BatchNormalization,
            (),
            {"momentum": NAN},
            "'momentum': it must be from 0.0 to 1.0, got nan.",
        ),
        (
            st.Reshape,
            ((-1, -1),),
            {},
            "'target_shape': it must be sizes, at most one of them -1, got (-1, -1).",
        ),
        (st.Rescale, (float("inf"),), {}, "'scale': it must be finite, got inf."),
        (st.ReLU, (), {"max_value": -1}, "'max_value': it must be >= 0 and finite, got -1."),
        (st.Conv2D, ("4", 3), {}, "'filters': it must be an integer, got a string."),
        (
            st.Conv2D,
            (4, None),
            {},
            "'kernel_size': it must be one number or two (height, width), got None.",
        ),
    ],
)
def test_layers_refuse_values_without_a_meaning(layer, arguments, options, text):
    name = layer.__name__
    raises(st.ShapeError, f"[{name}] {name} option {text}", lambda: layer(*arguments, **options))


@pytest.mark.parametrize(
    "optimizer, text",
    [
        (
            lambda: st.SGD(-1),
            "[SGD] SGD option 'learning_rate': it must be a number >= 0 or a schedule, got -1.",
        ),
        (
            lambda: st.SGD(NAN),
            "[SGD] SGD option 'learning_rate': it must be a number >= 0 or a schedule, got nan.",
        ),
        (
            lambda: st.SGD(0.1, momentum=2),
            "[SGD] SGD option 'momentum': it must be in [0, 1), got 2.",
        ),
        (
            lambda: st.Adam(epsilon=0),
            "[Adam] Adam option 'epsilon': it must be > 0 and finite, got 0.",
        ),
        (
            lambda: st.Adam(weight_decay=-1),
            "[Adam] Adam option 'weight_decay': it must be >= 0 and finite, got -1.",
        ),
        (
            lambda: st.SGD(0.1, global_clipnorm=NAN),
            "[SGD] SGD option 'global_clipnorm': it must be >= 0 and finite, got nan.",
        ),
    ],
)
def test_optimizers_refuse_values_without_a_meaning(optimizer, text):
    raises(st.ShapeError, text, optimizer)


def test_a_metric_refuses_more_than_the_classes():
    model = st.Sequential([st.Input((4,)), st.Dense(3)])
    metric = st.TopKAccuracy(k=99)
    model.compile("sgd", "sparse_categorical_crossentropy", [metric])
    with pytest.raises(st.ShapeError, match="k must be at most the 3 classes, got 99"):
        model.evaluate(np.zeros((2, 4), "float32"), np.zeros(2, "int64"))


def _line(units: int) -> tuple[st.Value, st.Value, list]:
    x = st.Input((4,))
    layer = st.Dense(units)
    return x, layer(x), layer.weights


def test_a_program_updates_each_weight_once():
    x, y, weights = _line(1)
    loss = st.ops.reduce_mean(y)
    updates = [(st.SGD(0.1), loss, weights), (st.SGD(0.2), loss, weights)]
    program = st.Program([x], [loss], updates)
    with pytest.raises(st.ShapeError, match="a weight may be in one update of a program only"):
        program(np.ones((2, 4), "float32"))


def test_an_update_depends_on_its_weights():
    x, y, _ = _line(1)
    _, _, others = _line(2)
    program = st.Program([x], [y], [(st.SGD(0.1), st.ops.reduce_mean(y), others)])
    with pytest.raises(st.ShapeError, match="the loss of an update must depend on its weights"):
        program(np.ones((2, 4), "float32"))


def test_plans_of_huge_batches_cost_nothing_and_end_in_an_error():
    model = st.zoo.resnet18_cifar()
    model.compile("sgd", "sparse_categorical_crossentropy")
    small, large = (model.memory(2**power, "train")["planned"] for power in (20, 30))
    assert large > 2**9 * small
    with pytest.raises(st.ShapeError, match="batch_size must be at most 2147483647"):
        model.memory(2**33, "train")
    assert model.max_batch(2**59) == 2**31 - 1
    wide = st.Sequential([st.Input((2048, 2048, 64)), st.Conv2D(128, 1)])
    with pytest.raises(st.ShapeError, match=r"at most 2\^60 bytes"):
        wide.memory(2**30)


def test_nan_is_seen_in_predictions_and_refused_where_there_is_a_loss():
    model = st.Sequential(
        [st.Input((8, 8, 1)), st.Conv2D(4, 3, activation="relu"), st.Flatten(), st.Dense(3)]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.ones((8, 8, 8, 1), "float32"), np.zeros(8, "int64")
    x[3] = NAN
    assert list(np.isnan(model.predict(x)).all(axis=1)) == [i == 3 for i in range(8)]
    for call in (lambda: model.evaluate(x, y), lambda: model.fit(x, y, verbose=0, shuffle=False)):
        with pytest.raises(st.NumericsError, match="inputs must be finite .* in sample 3"):
            call()
    y_of_nan = st.ops.conv2d(x[3:4], np.ones((8, 1, 1, 1), "float32"), activation="relu")
    assert np.isnan(y_of_nan.numpy()).all()
