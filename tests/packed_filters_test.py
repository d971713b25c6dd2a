"""Tests of filters that come to Winograd's kernels transformed: they follow each change of weights.

In inference they are transformed when a weight has changed, in training once a step.
"""

import numpy as np
import pytest
import striate as st

DIRECT = ",".join(
    f"{name}=reference" for name in ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")
)


def made(batch_norm=False):
    """Make a network whose second convolution has 48 channels on both sides."""
    st.seed(5)
    layers = [st.Input((8, 8, 3)), st.Conv2D(48, 3, padding="same")]
    layers += [st.BatchNormalization()] if batch_norm else []
    layers += [st.ReLU(), st.Conv2D(48, 3, padding="same", activation="relu")]
    layers += [st.GlobalAveragePool2D(), st.Dense(4)]
    model = st.Sequential(layers)
    model.compile(st.SGD(0.05), "sparse_categorical_crossentropy")
    return model


def batch(count=6):
    """Draw pictures and labels."""
    random = np.random.default_rng(2)
    return random.standard_normal((count, 8, 8, 3), np.float32), random.integers(0, 4, count)


def packs(model, count, purpose):
    """Return the operations that packed filters are for."""
    rows = model.explain(count, purpose=purpose)
    return [row["why"].split()[1] for row in rows if row["operation"] == "pack"]


def skip_without_winograd(model):
    """Skip where the processor has no kernels of Winograd's method."""
    if not any(row["entry"].startswith("winograd") for row in model.explain(6)):
        pytest.skip("Winograd's kernels need AVX2")


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("first", ["predict", "train"])
def test_packed_filters_follow_the_weights(first, batch_norm):
    x, y = batch()
    model, reference = made(batch_norm), made(batch_norm)
    skip_without_winograd(model)
    if first == "predict":
        model.predict(x)
    step = model.train_step()
    losses = [step(x, y).numpy().item()]
    assert packs(model, 6, "train") == ["conv2d", "conv2d_backward_input"]
    assert "conv2d" in packs(model, 6, "predict")
    losses += [step(x, y).numpy().item() for _ in range(4)]
    with st.kernels.use(DIRECT):
        step = reference.train_step()
        expected = [step(x, y).numpy().item() for _ in range(5)]
        predicted = reference.predict(x)
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    np.testing.assert_allclose(model.predict(x), predicted, rtol=1e-3, atol=1e-4)
    doubled = [2 * weight for weight in model.get_weights()]
    model.set_weights(doubled)
    with st.kernels.use(DIRECT):
        reference.set_weights(doubled)
        predicted = reference.predict(x)
    np.testing.assert_allclose(model.predict(x), predicted, rtol=1e-3, atol=1e-3)


def test_slices_read_the_same_packed_filters():
    x, y = batch(16)
    whole = made()
    skip_without_winograd(whole)
    before = st.threads()
    results = []
    try:
        for threads in (1, 2):
            st.set_threads(threads)
            model = made()
            step = model.train_step()
            losses = [step(x, y).numpy().item() for _ in range(4)]
            rows = model.explain(16, purpose="train")
            assert any(row["values"][0].startswith(f"[{16 // threads},") for row in rows)
            assert len(packs(model, 16, "train")) == 2
            results.append((losses, model.predict(x)))
    finally:
        st.set_threads(before)
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-3, atol=1e-5)


def test_a_step_is_profiled_with_its_packing():
    x, y = batch()
    model = made()
    skip_without_winograd(model)
    rows = [row for row in model.profile(x, y, rounds=2) if row["operation"] == "pack"]
    assert len(rows) == 2
    for row in rows:
        assert not row["once"] and 0 < row["microseconds"] < 1e6
        assert row["entry"] == "winograd" and row["layer"].startswith("conv2d")


def test_many_tiles_are_not_worth_the_memory():
    model = made()
    skip_without_winograd(model)
    assert packs(model, 16, "predict") == ["conv2d"] and packs(model, 512, "predict") == []
    one, many = model.memory(1), model.memory(512)
    assert one["persistent"] > many["persistent"]


def test_packed_filters_are_kept_for_the_batches_that_came_last():
    model = made()
    skip_without_winograd(model)
    x, _ = batch(9)
    first = model.predict(x[:1])
    held = []
    for count in range(2, 10):
        model.predict(x[:count])
        held.append(st.memory_stats()["bytes"])
    packed = model.memory(9, "predict")["persistent"]
    assert packed > 0 and held[-1] - held[3] < 2 * packed  # not as many more as there are programs
    assert model.predict(x[:1]).tobytes() == first.tobytes()
    model.set_weights([2 * w for w in model.get_weights()])
    after = model.predict(x[:1])
    for count in range(2, 7):
        model.predict(x[:count])
    assert model.predict(x[:1]).tobytes() == after.tobytes() != first.tobytes()
