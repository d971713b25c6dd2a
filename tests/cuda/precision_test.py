"""Training on device "cuda" in bfloat16 and in TF32 beside the CPU's float32.

Without a GPU the stage `cuda` of ./tools/test runs this under the emulator.
"""

from __future__ import annotations

import numpy as np
import pytest
import striate as st

ROWS, STEPS = 8, 10
rng = np.random.default_rng(0)
X = rng.random((ROWS, 12, 12, 8), dtype=np.float32)
Y = rng.integers(0, 4, ROWS)


def network():
    """Return a network with a residual, normalisation and pooling.

    It is smooth: rounding would switch relus near zero on and off, and training go other ways.
    """
    st.seed(5)
    x = st.Input((12, 12, 8))
    y = st.Conv2D(16, 3, padding="same", activation="tanh")(x)
    z = st.BatchNormalization()(st.Conv2D(16, 3, padding="same", use_bias=False)(y))
    y = st.MaxPool2D(2)(st.ops.tanh(z + y))
    y = st.Dense(16, activation="tanh")(st.Flatten()(y))
    return st.Model(x, st.Dense(4)(y))


def trained(precision, steps, device="cuda", optimizer=None, **options):
    model = network()
    optimizer = optimizer or st.SGD(0.005, momentum=0.9)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, device=device, precision=precision, **options)
    step = model.train_step()
    return model, np.array([step(X, Y) for _ in range(steps)])


@pytest.fixture(scope="module")
def float32():
    model, losses = trained("float32", STEPS, "cpu")
    return model.predict(X), losses


def test_losses_follow_float32_and_fall(float32):
    predicted, wanted = float32
    model, losses = trained("bfloat16", STEPS)
    # 8 bits of a value: a loss of some operations is off by some 2^-8.
    np.testing.assert_allclose(losses, wanted, rtol=5e-2)
    assert losses[-1] < losses[0] / 2
    found = model.predict(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, predicted, atol=0.15)
    assert all(w.dtype == np.float32 for w in model.get_weights())


def convolutions(model):
    steps = model.explain(ROWS, "train")
    return {row["operation"]: row["entry"] for row in steps if "conv2d" in row["operation"]}


def test_products_are_on_tensor_cores_where_asked_for():
    used = convolutions(trained("bfloat16", 1)[0])
    assert used == dict.fromkeys(used, "tensor_core") and len(used) == 3
    assert "tensor_core" not in convolutions(trained("float32", 1)[0]).values()


def test_tf32_cuts_off_factors_alone(float32):
    predicted, wanted = float32
    model, losses = trained("tf32", STEPS)
    assert set(convolutions(model).values()) == {"tensor_core"}
    np.testing.assert_allclose(losses, wanted, rtol=1e-2)  # 10 bits of a factor
    assert (losses != wanted).any()
    np.testing.assert_allclose(model.predict(X), predicted, atol=0.02)
    exact = convolutions(trained("tf32", 1, exact=True)[0])
    assert "tensor_core" not in exact.values()


def test_a_file_keeps_the_precision(tmp_path):
    model, _ = trained("bfloat16", 1)
    model.save(tmp_path / "mixed.safetensors", checkpoint=True)
    again = st.load(tmp_path / "mixed.safetensors")
    assert set(convolutions(again).values()) == {"tensor_core"}
    assert again.train_step()(X, Y) == model.train_step()(X, Y)


def test_other_precisions_are_refused():
    with pytest.raises(st.DTypeError, match="tf32 and bfloat16, got precision 'float16'"):
        trained("float16", 1)
    with pytest.raises(st.DTypeError, match="the CPU computes in float32"):
        trained("bfloat16", 1, "cpu")
