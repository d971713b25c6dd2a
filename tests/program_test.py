"""Tests of programs and gradients of one's own: st.Program and st.grad."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import striate as st
from small_model import pictures, small, weight_bytes

ops = st.ops


def test_grad_of_operations_and_of_gradients():
    x = st.Input((3,))
    first = st.grad(ops.reduce_sum(x * x * x), x)
    second = st.grad(ops.reduce_sum(first), x)
    data = np.array([[1, -2, 3]], np.float32)
    one, two = st.Program([x], [first, second])(data)
    np.testing.assert_allclose(one, 3 * data**2, rtol=1e-6)
    np.testing.assert_allclose(two, 6 * data, rtol=1e-6)


def test_gradient_of_the_input_picture():
    model = small(norm=False)
    picture = model.inputs[0]
    score = ops.reduce_sum(model(picture) * np.array([[1, 0, 0]], np.float32))
    slope = st.Program([picture], st.grad(score, picture))
    x = pictures(2)[0]
    found = np.asarray(slope(x))
    assert found.shape == x.shape
    direction = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    h = 1e-3
    change = (model.predict(x + h * direction) - model.predict(x - h * direction))[:, 0].sum()
    assert change / (2 * h) == pytest.approx((found * direction).sum(), rel=2e-2)


def test_gradients_go_through_layers_that_differ_in_training():
    x, _ = pictures(6)
    model = small(dropout=0.5)
    picture = model.inputs[0]
    score = ops.reduce_sum(ops.square(model(picture)))
    kernel = model.layer("conv2d").weights[0]
    slopes = st.grad(score, [picture, kernel])
    assert slopes[0].shape == (None, 8, 8, 3) and slopes[1].shape == (6, 3, 3, 3)
    ascend = st.Program([picture], [score, *slopes])
    before, of_picture, of_kernel = (np.asarray(value) for value in ascend(x))
    after = float(ascend(x + 1e-3 * of_picture)[0])
    assert after - before == pytest.approx(1e-3 * (of_picture**2).sum(), rel=0.05)
    held = kernel.value()
    kernel.assign(st.Tensor(held.numpy() + 1e-4 * of_kernel))
    after = float(ascend(x)[0])
    assert after - before == pytest.approx(1e-4 * (of_kernel**2).sum(), rel=0.05)
    # The same graph with dropout and the batch's statistics.
    training = st.Program([picture], [score, slopes[0]], training=True)
    assert (np.asarray(training(x)[1]) != of_picture).any()
    assert st.grad(score, st.Input((3,))) is None


def test_the_largest_of_a_row_and_a_row_in_order():
    x = st.Input((4,))
    values, places = ops.top_k(x, k=2)
    program = st.Program([x], [values, places, ops.sort(x, descending=True)])
    rows = np.array([[1, 5, -2, 5], [0, -1, -3, -2]], np.float32)
    values, places, ordered = (np.asarray(y) for y in program(rows))
    np.testing.assert_array_equal(values, [[5, 5], [0, -1]])
    np.testing.assert_array_equal(places, [[1, 3], [0, 1]])
    np.testing.assert_array_equal(ordered, -np.sort(-rows))
    with pytest.raises(st.ShapeError, match="k must be from 1 to the size of the last axis, got 5"):
        ops.top_k(rows, k=5)


def test_a_gradient_penalty_trains():
    st.seed(0)
    x = st.Input((4,))
    judge = st.Sequential([st.Input((4,)), st.Dense(8, activation="tanh"), st.Dense(1)])
    slope = st.grad(ops.reduce_sum(judge(x)), x)
    penalty = ops.reduce_mean(ops.square(slope))
    step = st.Program([x], penalty, updates=[(st.SGD(0.5), penalty, judge.weights)])
    data = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    losses = [float(step(data)) for _ in range(30)]
    assert losses[-1] < 0.2 * losses[0]
    with pytest.raises(st.Error, match="public operations"):
        st.Model(x, slope).save("/nowhere/m.safetensors")


def test_gan_step_with_two_optimizers():
    st.seed(0)
    noise, real = st.Input((4,), name="noise"), st.Input((4, 4, 1), name="real")
    generator = st.Sequential(
        [st.Input((4,)), st.Dense(16, activation="tanh"), st.Reshape((4, 4, 1))], "generator"
    )
    judge = st.Sequential(
        [st.Input((4, 4, 1)), st.Conv2D(4, 3, padding="same", name="conv"), st.ReLU(0, 0.2),
         st.Flatten(), st.Dense(1, name="score")], "judge",
    )  # fmt: skip
    fake = generator(noise)
    said_real, said_fake = judge(real), judge(fake)

    def crossentropy(score, target):
        return ops.binary_crossentropy(score, score * 0.0 + target)

    judge_loss = crossentropy(said_real, 1.0) + crossentropy(said_fake, 0.0)
    generator_loss = crossentropy(said_fake, 1.0)
    step = st.Program(
        [noise, real],
        [judge_loss, generator_loss, st.grad(ops.reduce_sum(said_fake), fake)],
        updates=[
            (st.Adam(1e-2), judge_loss, judge.weights),
            (st.SGD(1e-2), generator_loss, generator.weights),
        ],
    )
    random = np.random.default_rng(0)
    before = judge.get_weights(), generator.get_weights()
    losses = []
    for _ in range(20):
        z = random.standard_normal((8, 4)).astype(np.float32)
        pictures = 0.1 * random.standard_normal((8, 4, 4, 1)).astype(np.float32)
        first, second, slope = step(z, pictures)
        losses.append(float(first))
        assert np.isfinite(float(second)) and slope.shape == (8, 4, 4, 1)
    assert losses[-1] < losses[0]
    for old, model in zip(before, (judge, generator)):
        assert all((a != b).any() for a, b in zip(old, model.get_weights()))
    # Without updates the same graph changes nothing.
    look = st.Program([noise, real], [judge_loss, generator_loss])
    held = weight_bytes(judge) + weight_bytes(generator)
    again = look(z, pictures)
    assert all(np.isfinite(float(loss)) for loss in again)
    assert weight_bytes(judge) + weight_bytes(generator) == held
    assert step.memory["planned"] == step.memory["used"] and step.plan_seconds < 1


def test_program_places_gradients_in_one_region():
    x = st.Input((4,))
    dense, last = st.Dense(8, name="first"), st.Dense(2, name="second")
    loss = ops.reduce_mean(ops.square(last(dense(x))))
    program = st.Program([x], loss, updates=[("sgd", loss, [*dense.weights, *last.weights])])
    program(np.ones((2, 4), np.float32))
    rows = program.gradients
    assert {row["weight"] for row in rows} == {
        "first/kernel", "first/bias", "second/kernel", "second/bias"}  # fmt: skip
    begin = min(row["offset"] for row in rows)
    end = max(row["offset"] + row["bytes"] for row in rows)
    assert end - begin <= sum((row["bytes"] + 63) // 64 * 64 for row in rows)
    # In order of readiness: the last layer's gradients come first.
    first = [row["weight"].split("/")[0] for row in sorted(rows, key=lambda r: r["offset"])]
    assert first == ["second", "second", "first", "first"]


@pytest.mark.parametrize("name, batch", [("lenet", 64), ("alexnet", 16), ("vgg16", 2)])
def test_dense_weights_have_one_layout_in_a_step(name, batch):
    """Forward, both gradients and the update take them as they lie: none is copied."""
    model = getattr(st.zoo, name)()
    model.compile(st.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    rows = model.explain(batch, purpose="train")
    dense = [
        str(list(w.shape)) for w in model.weights if w.path.endswith("kernel") and len(w.shape) == 2
    ]
    assert len(dense) == 3
    lie = {shape: set() for shape in dense}
    for row in rows:
        for value in row["values"]:
            shape, _, layout = value.rpartition(" ")
            if shape in lie:
                lie[shape].add(layout)
                assert row["operation"] != "reorder", row
    assert all(len(layouts) == 1 for layouts in lie.values()), lie


def test_a_registered_function_does_not_disturb_the_end_of_the_process():
    code = "import striate as st; st.register('late')(lambda targets, output: output)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_reshaped_weight_is_read_as_it_lies():
    st.seed(1)
    x = st.Input((8, 8, 16))
    layer = st.Dense(16 * 9, use_bias=False)
    layer(st.Input((16,)))  # makes the weight [16, 144]
    (weight,) = layer.weights
    filters = st.ops.reshape(weight.symbol(), shape=(16, 3, 3, 16))
    y = st.ops.conv2d(x, filters, padding="same")
    loss = st.ops.reduce_mean(st.ops.square(y))
    program = st.Program([x], [loss], [(st.SGD(0.1), loss, [weight])])
    data = np.random.default_rng(0).standard_normal((4, 8, 8, 16)).astype("float32")
    losses = [float(program(data)[0].numpy()) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
