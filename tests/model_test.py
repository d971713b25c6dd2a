"""Tests of models in Python: building, looking inside, training."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st
from small_model import compiled, pictures, small, weight_bytes

ops = st.ops


def _takes_winograd():
    rows = st.kernels.list("conv2d", inputs=[(1, 8, 8, 16), (16, 3, 3, 16)])
    return next(row["accepts"] for row in rows if row["name"] == "winograd")


# --- building -------------------------------------------------------------------------------------


def test_sequential_learns():
    x, y = pictures()
    model = compiled(small())
    history = model.fit(x, y, batch_size=8, epochs=12, verbose=False)
    assert history.epochs[-1]["loss"] < 0.3 * history.epochs[0]["loss"]
    assert model.evaluate(x, y)["accuracy"] == 1
    assert (model.predict(x).argmax(1) == y).all()


def test_several_inputs_and_outputs():
    x, y = pictures()
    size = y[:, None].astype(np.float32) / 2
    picture, number = st.Input((8, 8, 3), name="picture"), st.Input((1,), name="number")
    features = st.Concatenate()([st.GlobalAveragePool2D()(st.Conv2D(4, 3)(picture)), number])
    model = st.Model([picture, number], [st.Dense(3)(features), st.Dense(1)(features)])
    model.compile(
        st.Adam(1e-2),
        ["sparse_categorical_crossentropy", "mean_squared_error"],
        loss_weights=[1, 0.5],
    )
    history = model.fit([x, size], [y, size], batch_size=10, epochs=20, verbose=False)
    assert history.epochs[-1]["loss"] < 0.7 * history.epochs[0]["loss"]
    scores, sizes = model.predict([x, size])
    assert scores.shape == (24, 3) and sizes.shape == (24, 1)
    # The loss is the weighted sum of the two.
    log_scores = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    expected = -log_scores[np.arange(24), y].mean() + 0.5 * ((sizes - size) ** 2).mean()
    assert model.evaluate([x, size], [y, size])["loss"] == pytest.approx(expected, rel=1e-5)


def test_shared_layers_have_one_weight_and_summed_gradients():
    left, right = st.Input((4,), name="left"), st.Input((4,), name="right")
    shared = st.Dense(2, use_bias=False, name="shared")
    model = st.Model([left, right], ops.add(shared(left), shared(right)))
    assert model.count_params() == 8 and len(model.layers) == 1
    a, b = np.eye(4, dtype=np.float32), np.ones((4, 4), np.float32)
    weight = model.get_weights()[0]
    np.testing.assert_allclose(model.predict([a, b]), a @ weight + b @ weight, rtol=1e-5)
    model.compile(st.SGD(1.0), "mean_squared_error")
    target = np.zeros((4, 2), np.float32)
    slope = 2 * (a @ weight + b @ weight) / target.size
    model.train_step()([a, b], target)
    np.testing.assert_allclose(
        model.get_weights()[0], weight - a.T @ slope - b.T @ slope, rtol=1e-5, atol=1e-6
    )


def test_model_as_layer_shares_its_weights():
    features = st.Sequential(
        [st.Input((8, 8, 3)), st.Conv2D(4, 3, name="conv"), st.GlobalAveragePool2D()], name="eye"
    )
    x = st.Input((8, 8, 3))
    model = st.Model(x, st.Dense(2, name="head")(features(x)))
    assert [layer.name for layer in model.layers] == ["conv", "global_average_pool2d", "head"]
    before = features.get_weights()[0].copy()
    model.compile(st.SGD(0.5), "mean_squared_error")
    model.train_step()(pictures(4)[0], np.ones((4, 2)))
    after = features.get_weights()[0]
    assert (before != after).any()
    np.testing.assert_array_equal(after, model.layer("conv").weights[0].value().numpy())


class Block(st.Layer):
    """Two convolutions and a way past them."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.convs = [st.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(2)]
        self.norm = st.BatchNormalization()

    def call(self, x):
        return ops.relu(x + self.norm(self.convs[1](self.convs[0](x))))


def test_composed_layer_is_named_saved_and_frozen(tmp_path):
    block = Block(3, name="block1")
    model = st.Sequential(
        [st.Input((8, 8, 3)), block, Block(3, name="block2"), st.Flatten(), st.Dense(3)]
    )
    paths = [weight.path for weight in model.weights]
    assert paths[:2] == ["block1/conv2d/kernel", "block1/conv2d/bias"]
    assert "block2/conv2d_1/kernel" in paths and len(set(paths)) == len(paths) == 18
    assert [weight.path for weight in block.weights] == paths[:8]
    x, y = pictures()
    model.save(tmp_path / "m.safetensors")
    again = st.load(tmp_path / "m.safetensors")
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
    block.freeze()
    compiled(model)
    before = [weight.value().numpy().copy() for weight in model.weights]
    model.train_step()(x, y)
    changed = [(weight.value().numpy() != old).any() for weight, old in zip(model.weights, before)]
    assert not any(changed[:8]) and all(changed[8:])


def test_names_are_given_and_must_differ():
    model = st.Sequential([st.Input((4,)), st.Dense(3), st.Dense(3), st.Dense(3, name="last")])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "last"]
    assert model.layer("last").get_config() == {"units": 3}
    mixed = st.Sequential([st.Input((4,)), st.Dense(3), st.Dense(3, name="dense"), st.Dense(3)])
    assert [layer.name for layer in mixed.layers] == ["dense_1", "dense", "dense_2"]
    with pytest.raises(st.ShapeError, match="need different names, got 'a' twice"):
        st.Sequential([st.Input((4,)), st.Dense(3, name="a"), st.Dense(3, name="a")])
    with pytest.raises(st.Error, match="no layer 'none', got layers dense, dense_1, last"):
        model.layer("none")


def test_weights_in_and_out(tmp_path):
    model, other = small(), small()
    values = [value + 1 for value in model.get_weights()]
    model.set_weights(values)
    for ours, given in zip(model.get_weights(), values):
        np.testing.assert_array_equal(ours, given)
    values[0] = values[0][:-1]
    before = weight_bytes(model)
    with pytest.raises(st.ShapeError, match="the weight 'conv2d/kernel' takes the shape"):
        model.set_weights([value * 2 for value in values])
    with pytest.raises(st.ShapeError, match="the model has 8 weights, got 2"):
        model.set_weights(values[:2])
    assert weight_bytes(model) == before
    model.save(tmp_path / "m.safetensors")
    report = other.load_weights(tmp_path / "m.safetensors")
    assert len(report["loaded"]) == 8 and not report["missing"] + report["unexpected"]
    assert weight_bytes(other) == before
    weight = model.layer("dense").weights[1]
    weight.assign(st.Tensor(np.array([1, 2, 3], np.float32)))
    assert weight.name == "bias" and weight.value().numpy().tolist() == [1, 2, 3]


def test_partial_weights_are_reported(tmp_path):
    small().save(tmp_path / "m.safetensors")
    other = st.Sequential(
        [st.Input((8, 8, 3)), st.Conv2D(6, 3), st.Flatten(), st.Dense(3), st.Dense(2)]
    )
    before = weight_bytes(other)
    with pytest.raises(st.FileError, match="do not fit the model"):
        other.load_weights(tmp_path / "m.safetensors")
    assert weight_bytes(other) == before
    report = other.load_weights(tmp_path / "m.safetensors", partial=True)
    assert report["loaded"] == ["conv2d/bias", "conv2d/kernel", "dense/bias"]
    assert report["missing"] == ["dense_1/bias", "dense_1/kernel"]
    assert report["wrong_shape"] == ["dense/kernel"]
    assert len(report["unexpected"]) == 4


def test_freeze_and_replace_head():
    x, y = pictures(classes=2)
    base = compiled(small())
    base.train_step()(x, y)  # so that a program with all weights exists
    base.freeze()
    before = base.get_weights()
    compiled(base.replace_head(st.Dense(2, name="new"))).fit(x, y, epochs=1, verbose=False)
    for old, new in zip(before, base.get_weights()):
        np.testing.assert_array_equal(old, new)
    model = base.replace_head(st.Dense(2, name="new"))
    assert [layer.name for layer in model.layers][-1] == "new"
    assert model.summary(as_dict=True)["trainable_params"] == 96 * 2 + 2


def test_a_layer_frozen_between_steps_stops_learning():
    x, y = pictures()
    model = compiled(small())
    step = model.train_step()
    step(x, y)
    model.layer("conv2d").freeze()
    model.layer("batch_normalization").freeze()
    before = model.get_weights()
    step(x, y)
    same = [(old == new).all() for old, new in zip(before, model.get_weights())]
    assert same == [True] * 6 + [False] * 2
    model.layer("conv2d").freeze(False)
    step(x, y)
    assert (model.get_weights()[0] != before[0]).any()


# --- looking inside -------------------------------------------------------------------------------


def test_summary_in_text_numbers_and_html(capsys):
    model = small()
    data = model.summary(as_dict=True)
    assert data["params"] == model.count_params() == 168 + 24 + 291
    assert data["trainable_params"] == 168 + 12 + 291 and data["bytes"] == 4 * data["params"]
    assert data["macs"] == 8 * 8 * 27 * 6 + 96 * 3
    convolution = data["layers"][1].pop("convolution")
    assert list(convolution) == ["conv2d"] and convolution["conv2d"]
    assert data["layers"][1] == {
        "layer": "conv2d", "type": "Conv2D", "shape": [None, 8, 8, 6], "params": 168, "bytes": 672,
        "macs": 10368, "frozen": False,
    }  # fmt: skip
    assert model.summary() is None
    text = capsys.readouterr().out
    assert "conv2d" in text and "[N, 8, 8, 6]" in text and "483 parameters (471 trained)" in text
    assert "<td" in model._repr_html_() and "max_pool2d" in model._repr_html_()
    assert repr(model) == "<striate.Model 'sequential': 483 parameters>"


def _entries(operation):
    return [row["name"] for row in st.kernels.list(operation)]


def _wide(**options):
    model = st.Sequential(
        [st.Input((16, 16, 32)), st.Conv2D(32, 3, padding="same"), st.Flatten(), st.Dense(3)]
    )
    model.compile(loss="mse", **options)
    return model


def _train(model):
    model.train_step(8)(np.zeros((8, 16, 16, 32), "f"), np.zeros((8, 3), "f"))


def _convolution(model):
    return model.summary(as_dict=True)["layers"][1]["convolution"]


def test_summary_names_the_method_of_convolutions(capsys):
    model = _wide()
    with st.kernels.use("conv2d=reference,conv2d_backward_weight=reference"):
        assert _convolution(model) == {"conv2d": "reference"}
        _train(model)
        methods = {"conv2d": "reference", "conv2d_backward_weight": "reference"}
        assert _convolution(model) == methods
    model.summary()
    assert "x,3x3)" not in capsys.readouterr().out


def test_summary_names_the_transform_of_convolutions(capsys):
    model = _wide()
    if not _takes_winograd():  # a processor without AVX2: the forced entry says so
        with st.kernels.use("conv2d=winograd"), pytest.raises(st.KernelError, match="AVX2"):
            _train(model)
        return
    with st.kernels.use("conv2d=winograd,conv2d_backward_weight=winograd_2x2"):
        _train(model)
    assert _convolution(model) == {
        "conv2d": "winograd F(4x4,3x3)",
        "conv2d_backward_weight": "winograd_2x2 F(2x2,3x3)",
    }
    model.summary()
    text = capsys.readouterr().out
    assert "convolution" in text and "winograd F(4x4,3x3), winograd_2x2 F(2x2,3x3)" in text
    assert "F(4x4,3x3)" in model._repr_html_()


def test_exact_declines_large_tiles():
    model = _wide(exact=True)
    _train(model)
    if not _takes_winograd():  # a processor without AVX2 has nothing to decline
        assert "F(4x4,3x3)" not in str(_convolution(model))
        return
    rows = [row for row in model.explain(8, "train") if row["operation"].startswith("conv2d")]
    assert len(rows) == 2
    for row in rows:
        assert row["entry"] != "winograd" and "exact sums" in row["refusals"]["winograd"]
    assert "F(4x4,3x3)" not in str(_convolution(model))
    with st.kernels.use("conv2d=winograd"), pytest.raises(st.KernelError, match="exact sums"):
        _train(_wide(exact=True))


def test_explain_names_each_kernel():
    model = compiled(small())
    rows = model.explain(batch_size=4)
    convs = [row for row in rows if row["operation"] == "conv2d"]
    assert len(convs) == 1 and convs[0]["layer"] == "conv2d" and convs[0]["why"]
    assert convs[0]["entry"] in [row["name"] for row in st.kernels.list("conv2d")]
    with st.kernels.use("conv2d=reference"):
        forced = [r for r in model.explain(batch_size=5) if r["operation"] == "conv2d"]
    assert forced[0]["entry"] == "reference" and "forced" in forced[0]["why"]
    training = [row["operation"] for row in model.explain(batch_size=4, purpose="train")]
    assert "conv2d_backward_weight" in training and "adam" in training


def test_batch_norm_is_folded_at_inference():
    x, y = pictures()
    st.seed(3)
    model = compiled(st.Sequential([
        st.Input((8, 8, 3)), st.Conv2D(6, 3), st.BatchNormalization(), st.ReLU(), st.Flatten(),
        st.Dense(3)]))  # fmt: skip
    model.fit(x, y, epochs=3, verbose=False)
    operations = [row["operation"] for row in model.explain(4) if not row["once"]]
    assert not any("batch_norm" in name or name == "relu" for name in operations)
    kernel, bias, gamma, beta, mean, variance, dense, last = model.get_weights()
    y = np.asarray(ops.conv2d(x, kernel, bias))
    y = (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    expected = np.maximum(y, 0).reshape(24, -1) @ dense + last
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4, atol=1e-4)


def test_memory_is_planned_before_anything_runs():
    model = compiled(small())
    allocated = st.memory_stats()["bytes"]
    planned = model.memory(batch_size=512)
    assert st.memory_stats()["bytes"] - allocated < planned["planned"] / 4
    assert planned["planned"] == planned["used"] > 512 * 8 * 8 * 3
    assert planned["weights"] >= 4 * 471
    less = model.memory(batch_size=16)
    assert less["planned"] == less["used"] < planned["planned"] / 16
    training = model.memory(16, "train")
    assert training["gradients"] >= 4 * 471 and training["planned"] == training["used"]


def test_max_batch_fits_and_one_more_does_not():
    model = compiled(small())

    def needed(batch, purpose):
        memory = model.memory(batch, purpose)
        return memory["planned"] + memory["weights"] + memory["state"] + memory["persistent"]

    for purpose in ("predict", "train"):
        batch = model.max_batch(1_000_000, purpose)
        assert needed(batch, purpose) <= 1_000_000 < needed(batch + 1, purpose)
    with pytest.raises(st.Error, match=r"one sample needs \d+ bytes, got 10"):
        model.max_batch(10)


def test_memory_of_training_knows_the_targets():
    x = st.Input((4,))
    model = st.Model(x, [st.Dense(2)(x), st.Dense(3)(x)])
    model.compile("sgd", ["mean_squared_error", "categorical_crossentropy"])
    assert model.memory(8, "train")["planned"] > 0


# --- training -------------------------------------------------------------------------------------


def test_train_step_returns_the_loss_and_counts():
    x, y = pictures()
    model = compiled(small())
    step = model.train_step(batch_size=24)
    losses = [step(x, y) for _ in range(5)]
    assert isinstance(losses[0], st.Tensor) and losses[0].shape == ()
    assert float(losses[4]) < float(losses[0]) and model.step == 5
    # What the user holds is not overwritten by later steps.
    assert len({float(loss) for loss in losses}) == 5


def test_fit_trains_the_tail_and_validates():
    x, y = pictures(25)
    model = compiled(small())
    rows = []
    history = model.fit(
        x,
        y,
        batch_size=10,
        epochs=2,
        validation_data=(x[:7], y[:7]),
        verbose=False,
        callbacks=[lambda m, h: rows.append((m.step, len(h)))],
    )
    assert model.step == 6 and rows == [(3, 1), (6, 2)]
    keys = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert [list(row) for row in history.epochs] == [keys] * 2
    evaluated = model.evaluate(x[:7], y[:7], batch_size=3)
    assert history.epochs[-1]["val_loss"] == pytest.approx(evaluated["loss"], rel=1e-5)
    assert history.epochs[-1]["val_accuracy"] == pytest.approx(evaluated["accuracy"])


def test_predict_does_not_depend_on_the_batch_size():
    x, _ = pictures()
    model = small()
    whole = model.predict(x)
    np.testing.assert_allclose(model.predict(x, batch_size=5), whole, rtol=1e-5, atol=1e-6)
    assert model.predict(x).tobytes() == whole.tobytes()


def test_progress_bar_shows_the_epoch(capfd):
    x, y = pictures()
    compiled(small()).fit(x, y, batch_size=8, epochs=1)
    shown = capfd.readouterr().err
    assert "epoch 1/1" in shown and "3/3" in shown and "loss" in shown and "accuracy" in shown


@pytest.mark.parametrize(
    "schedule, rates",
    [
        (st.StepDecay(1.0, 2, decay_rate=0.5), [1, 1, 0.5, 0.5, 0.25]),
        (st.CosineDecay(1.0, 4), [1, 0.853553, 0.5, 0.146447, 0]),
        (st.WarmUp(1.0, 4), [0.25, 0.5, 0.75, 1, 1]),
    ],
)
def test_schedules_are_the_steps_of_sgd(schedule, rates):
    x = st.Input((1,))
    model = st.Model(x, st.Dense(1, use_bias=False, kernel_initializer="zeros")(x))
    # The gradient of the mean of the outputs is 1, so each step moves by the learning rate.
    model.compile(st.SGD(schedule), lambda targets, output: ops.reduce_mean(output))
    one = np.ones((1, 1), np.float32)
    moved = []
    for _ in rates:
        before = float(model.get_weights()[0][0, 0])
        model.train_step()(one, one)
        moved.append(before - float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(moved, rates, atol=1e-6)


def test_one_cycle_rises_and_falls():
    model = compiled(small(), st.SGD(st.OneCycle(0.4, 100, warmup_fraction=0.3)))
    rates = [model.optimizer.learning_rate(i) for i in range(101)]
    assert np.argmax(rates) == 30 and max(rates) == pytest.approx(0.4, rel=1e-3)
    assert (np.diff(rates[:31]) > 0).all() and (np.diff(rates[30:]) <= 0).all()
    model.optimizer.set_learning_rate(0.125)
    assert model.optimizer.learning_rate(50) == 0.125


def test_clipping_limits_each_element_and_the_norm():
    def moved(**clip):
        x = st.Input((2,))
        model = st.Model(x, st.Dense(1, use_bias=False, kernel_initializer="zeros")(x))
        model.compile(st.SGD(1.0, **clip), lambda targets, output: ops.reduce_sum(output))
        model.train_step()(np.array([[3.0, 4.0]], np.float32), np.zeros((1, 1), np.float32))
        return model.get_weights()[0][:, 0]

    np.testing.assert_allclose(moved(), [-3, -4])
    np.testing.assert_allclose(moved(clipvalue=3.5), [-3, -3.5])
    np.testing.assert_allclose(moved(global_clipnorm=1.0), [-0.6, -0.8], rtol=1e-5)
    np.testing.assert_allclose(moved(global_clipnorm=9.0), [-3, -4])


def test_own_loss_and_metric():
    def absolute(targets, output):
        return ops.reduce_mean(ops.abs(output - targets))

    def largest(targets, output):
        return ops.reduce_max(ops.abs(output - targets), axes=[1])

    x = st.Input((4,))
    model = st.Model(x, st.Dense(2)(x))
    model.compile(st.SGD(0.1), absolute, [largest])
    data, target = np.random.default_rng(0).random((8, 4)), np.ones((8, 2))
    error = np.abs(model.predict(data) - target)
    found = model.evaluate(data, target)
    assert found["loss"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["largest"] == pytest.approx(error.max(1).mean(), rel=1e-5)
    history = model.fit(data, target, batch_size=8, epochs=30, verbose=False)
    assert history.epochs[-1]["loss"] < 0.5 * history.epochs[0]["loss"]


def test_registered_functions_are_saved_and_others_refused(tmp_path):
    @st.register("test_absolute")
    def absolute(targets, output):
        return ops.abs(output - targets)

    def nameless(targets, output):
        return ops.abs(output - targets)

    x = st.Input((4,))
    model = st.Model(x, st.Dense(2)(x))
    data, target = np.ones((4, 4), np.float32), np.zeros((4, 2), np.float32)
    model.compile("sgd", absolute, ["test_absolute"])
    loss = float(model.train_step()(data, target))
    model.save(tmp_path / "c.safetensors", checkpoint=True)
    again = st.load(tmp_path / "c.safetensors")
    assert again.metric_names == model.metric_names
    assert again.evaluate(data, target) == model.evaluate(data, target)
    assert again.evaluate(data, target)["loss"] < loss
    model.compile("sgd", nameless)
    with pytest.raises(st.Error) as raised:
        model.save(tmp_path / "n.safetensors", checkpoint=True)
    assert "the loss 'nameless' is a function without a registered name" in str(raised.value)
    assert "@striate.register" in raised.value.fix and not (tmp_path / "n.safetensors").exists()
    model.save(tmp_path / "n.safetensors")  # the weights and the graph need no loss
    assert (
        st.load(tmp_path / "n.safetensors").predict(data).tobytes() == model.predict(data).tobytes()
    )


def test_dropout_keeps_the_mean_and_is_gone_at_inference():
    x = st.Input((1000,))
    drop = st.Dropout(0.25)
    data = np.ones((64, 1000), np.float32)
    y = np.asarray(st.Program([x], drop(x), training=True)(data))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not (y[0] == y[1]).all()  # each sample has its own
    np.testing.assert_array_equal(np.asarray(st.Program([x], drop(x))(data)), data)


def test_batch_norm_statistics_move_in_training_alone():
    x, y = pictures()
    model = compiled(small())
    layer = model.layer("batch_normalization")
    mean, variance = (weight.value().numpy().copy() for weight in layer.weights[2:])
    model.evaluate(x, y)
    model.predict(x)
    np.testing.assert_array_equal(layer.weights[2].value().numpy(), mean)
    np.testing.assert_array_equal(variance, np.ones(6))
    model.train_step()(x, y)
    assert (layer.weights[2].value().numpy() != mean).all()
    layer.freeze()
    mean = layer.weights[2].value().numpy().copy()
    model.train_step()(x, y)
    np.testing.assert_array_equal(layer.weights[2].value().numpy(), mean)
