"""Tests of how data is fed: other forms of arrays, what fit is told, steps, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import striate as st
from bad_input import classifier, raises, valid_calls_work_after  # noqa: F401

X = np.random.default_rng(0).random((10, 4, 4, 1), dtype=np.float32)
Y = np.arange(10) % 3


def symbol():
    return st.Input((3,))


def test_a_train_step_plans_the_batch_size_it_is_given():
    model = classifier()
    before = st.memory_stats()["bytes"]
    step = model.train_step(batch_size=10)
    assert model.explain(10, "train") and model.step == 0
    types = [([10, 4, 4, 1], "float32")], [([10], "int64")]
    seconds = model._handle.plan_seconds("train", *types)
    loss = step(X, Y)
    assert float(loss) > 0 and model._handle.plan_seconds("train", *types) == seconds
    assert st.memory_stats()["bytes"] > before
    raises(st.ShapeError, "batch_size must be at least 1, got 0.", lambda: model.train_step(0))
    raises(st.DTypeError, "batch_size must be a whole number, got '8'.",
           lambda: model.train_step(batch_size="8"))  # fmt: skip
    text = "the model is not compiled. Call compile(optimizer, loss) first."
    fresh = st.Sequential([symbol(), st.Dense(2)])
    with pytest.raises(st.Error, match="not compiled") as caught:
        fresh.train_step()
    assert str(caught.value) == text


def test_data_of_another_form():
    model = classifier()
    one = "the model has 1 input, 'picture', got "
    raises(
        st.ShapeError,
        one + "a list of 10, the first ndarray [4, 4, 1] of float32. "
        "One array of all samples: np.stack(x).",
        lambda: model.fit(list(X), Y, verbose=False),
    )
    raises(
        st.ShapeError,
        one + "a list of 2, the first ndarray [10, 4, 4, 1] of float32.",
        lambda: model.train_step()([X, X], Y),
    )
    raises(
        st.ShapeError,
        "the model has 1 output, got a list of 2, the first ndarray [10] of int64. "
        "One array of all samples: np.stack(y).",
        lambda: model.evaluate(X, [Y, Y]),
    )
    raises(
        st.ShapeError,
        "the model's inputs are named picture, got image.",
        lambda: model.predict({"image": X}),
    )
    raises(
        st.DTypeError,
        "targets are an array, or a list of one for each output, in their order, got a dict of a.",
        lambda: model.evaluate(X, {"a": Y}),
    )
    raises(
        st.ShapeError,
        "input 'picture' takes [N, 4, 4, 1], got [10, 1, 4, 4]. "
        "Channels come last: x.transpose(0, 2, 3, 1).",
        lambda: model.predict(X.transpose(0, 3, 1, 2)),
    )
    raises(
        st.ShapeError,
        "input 'picture' takes [N, 4, 4, 1], got [4, 4, 1]. "
        "One sample is a batch of one: x[np.newaxis].",
        lambda: model.predict(X[0]),
    )
    raises(
        st.ShapeError,
        "input 'picture' takes [N, 4, 4, 1], got [10, 4, 4]. "
        "Pictures have a last axis of channels: x[..., np.newaxis].",
        lambda: model.predict(X[..., 0]),
    )
    with pytest.raises(st.DTypeError, match="x must hold numbers, got <generator.*st.data.Batches"):
        model.predict(x for x in X)
    with pytest.raises(st.ShapeError, match="x must hold numbers, as many in each row"):
        model.predict([[1], [1, 2]])
    expected = model.predict(X)
    np.testing.assert_array_equal(model.predict({"picture": X}), expected)
    np.testing.assert_array_equal(model.predict([X]), expected)
    np.testing.assert_array_equal(model.predict(X.tolist()), expected)
    scores = model.evaluate(X, Y)
    assert model.evaluate(X, list(Y)) == model.evaluate([X], [Y]) == scores
    assert model.evaluate(st.data.Batches(X, Y, 256, shuffle=False)) == scores


def test_two_inputs_count_without_the_targets():
    a, b = st.Input((3,), name="a"), st.Input((3,), name="b")
    model = st.Model([a, b], st.Dense(2)(a + b))
    model.compile("adam", "mse")
    x, y = np.ones((4, 3)), np.ones((4, 2))
    raises(
        st.ShapeError,
        "the model has 2 inputs, 'a', 'b', got a list of 3, the first ndarray [4, 3] of float64.",
        lambda: model.fit([x, x, x], y, verbose=False),
    )
    raises(
        st.ShapeError,
        "the model has 2 inputs, 'a', 'b', got ndarray [4, 3] of float64.",
        lambda: model.train_step()(x, y),
    )
    expected = model.predict([x, 2 * x])
    np.testing.assert_array_equal(model.predict({"b": 2 * x, "a": x}), expected)
    np.testing.assert_array_equal(model.predict([x.tolist(), (2 * x).tolist()]), expected)


def test_what_fit_is_told():
    model = classifier()

    def fit(**options):
        return model.fit(X, Y, verbose=False, **options)

    for options, kind, text in [
        ({"epochs": -1}, st.ShapeError, "epochs must be at least 0, got -1."),
        ({"epochs": 1.5}, st.DTypeError, "epochs must be a whole number, got 1.5."),
        ({"initial_epoch": -1}, st.ShapeError, "initial_epoch must be at least 0, got -1."),
        ({"batch_size": -1}, st.ShapeError, "[Batches] batch_size must be at least 1, got -1."),
        ({"shuffle": "batch"}, st.DTypeError, "shuffle must be True or False, got 'batch'."),
        ({"callbacks": [3]}, st.DTypeError,
         "a callback is a function of (model, history), got 3."),
        ({"validation_data": X}, st.DTypeError, "validation_data is (x, y) or a st.data.Batches, "
         "got ndarray [10, 4, 4, 1] of float32."),
        ({"validation_data": (X, Y, Y)}, st.DTypeError,
         "validation_data is (x, y) or a st.data.Batches, "
         "got a tuple of 3, the first ndarray [10, 4, 4, 1] of float32."),
        ({"validation_split": 1.2}, st.ShapeError,
         "validation_split must leave samples to train on and to evaluate, "
         "got 1.2 of 10 samples. Pass a number between 0 and 1."),
        ({"validation_split": 0.2, "validation_data": (X, Y)}, st.ShapeError,
         "either validation_data or validation_split is given, got both."),
    ]:  # fmt: skip
        raises(kind, text, lambda: fit(**options))  # noqa: B023
    assert model.step == 0
    batches = st.data.Batches(X, Y, 4)
    with pytest.raises(st.DTypeError, match="a Batches holds x and y both"):
        model.fit(batches, Y)
    with pytest.raises(st.DTypeError, match="a Batches holds x and y both"):
        model.fit(st.data.Batches(X))
    seen = []
    fit(callbacks=lambda model, history: seen.append(len(history)), epochs=2)
    assert seen == [1, 2] and fit(epochs=0).epochs == []
    held = classifier().fit(X, Y, validation_split=0.3, shuffle=False, verbose=False).epochs[0]
    plain = classifier().fit(
        X[:7], Y[:7], validation_data=(X[7:], Y[7:]), shuffle=False, verbose=False
    )
    assert {k: v for k, v in held.items() if k != "seconds"} == {
        k: v for k, v in plain.epochs[0].items() if k != "seconds"
    }


def test_threads_that_share_a_model():
    model = classifier()
    batches = [np.random.default_rng(i).random((33, 4, 4, 1), dtype=np.float32) for i in range(4)]
    expected = [model.predict(x) for x in batches]
    wrong = []

    def work(i):
        for _ in range(50):
            if not np.array_equal(model.predict(batches[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
