"""Large dense weights are updated where their gradient is made, if nobody else reads it."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st


def _model(optimizer, **options):
    st.seed(3)
    layers = [st.Input((600,)), st.Dense(512, activation="relu"), st.Dense(512), st.Dense(3)]
    model = st.Sequential(layers)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", **options)
    return model


ROWS = 17  # no slices of the batch side by side: their gradients are summed


def _batches(steps, rows=ROWS):
    random = np.random.default_rng(0)
    for _ in range(steps):
        yield random.standard_normal((rows, 600)).astype("f"), random.integers(0, 3, rows)


def _train(optimizer, steps=5, **options):
    model = _model(optimizer, **options)
    step = model.train_step(ROWS)
    losses = [float(step(x, y)) for x, y in _batches(steps)]
    return model, losses


def _updates(model, batch=ROWS):
    rows = model.explain(batch, "train")
    names = [row["operation"] for row in rows]
    return {name: names.count(name) for name in names if "sgd" in name or "adam" in name}


def _takes_vectors():
    rows = st.kernels.list("conv2d", inputs=[(1, 8, 8, 16), (16, 3, 3, 16)])
    return next(row["accepts"] for row in rows if row["name"] == "winograd")


OPTIMIZERS = {
    "plain": lambda **o: st.SGD(0.05, **o),
    "momentum": lambda **o: st.SGD(0.05, momentum=0.9, **o),
    "nesterov": lambda **o: st.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01, **o),
    "adam": lambda **o: st.Adam(1e-3, **o),
    "adamw": lambda **o: st.AdamW(1e-3, **o),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_weights_as_with_a_gradient_in_memory(name):
    fused, losses = _train(OPTIMIZERS[name]())
    # Looking for NaN after each kernel needs the gradients.
    apart, expected = _train(OPTIMIZERS[name](), check_numerics=True)
    kind = "adam" if "adam" in name else "sgd"
    dense = {f"dense_{kind}": 2} if _takes_vectors() else {}
    assert _updates(fused) == {kind: 1, **dense} and _updates(apart) == {kind: 1}
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    for ours, theirs in zip(fused.get_weights(), apart.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max())
    bytes_of = [model.memory(ROWS, "train")["gradients"] for model in (fused, apart)]
    assert bytes_of[0] < 0.1 * bytes_of[1] if dense else bytes_of[0] == bytes_of[1]


def test_not_where_somebody_else_reads_the_gradient():
    dense = {"dense_sgd": 2} if _takes_vectors() else {}
    assert _updates(_model(st.SGD(0.01))) == {"sgd": 1, **dense}
    assert _updates(_model(st.SGD(0.01)), 31) == {"sgd": 1, **dense}
    assert _updates(_model(st.SGD(0.01)), 33) == {"sgd": 1}  # no quicker above 32
    assert _updates(_model(st.SGD(0.01, global_clipnorm=1.0))) == {"sgd": 1}
    assert _updates(_model(st.Adam(0.01, clipvalue=0.5))) == {"adam": 1}
    assert _updates(_model(st.SGD(0.01), shards=ROWS)) == {"sgd": 1}


def test_a_loss_that_is_not_finite_changes_no_weight():
    model, _ = _train(st.SGD(0.05, momentum=0.9), steps=2)
    before = [w.copy() for w in model.get_weights()]
    step = model.train_step(ROWS)
    x, y = next(_batches(1))
    with pytest.raises(st.NumericsError, match="Dense"):  # the inputs are finite, sums are not
        step(np.sign(x) * np.float32(3e38), y)
    for weight, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)


def test_a_checkpoint_keeps_the_state(tmp_path):
    model, _ = _train(st.SGD(0.05, momentum=0.9), steps=2)
    model.save(tmp_path / "m.safetensors", checkpoint=True)
    again = st.load(tmp_path / "m.safetensors")
    for x, y in _batches(2):
        assert float(model.train_step(ROWS)(x, y)) == float(again.train_step(ROWS)(x, y))
    for ours, theirs in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
