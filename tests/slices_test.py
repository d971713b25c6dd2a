"""Tests of networks whose step runs in slices of the batch, side by side and one after another."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st
from small_model import compiled, pictures, small


@pytest.fixture(autouse=True)
def two_threads():
    before = st.threads()
    st.set_threads(2)
    yield
    st.set_threads(before)


def rows_of(model, batch=24):
    """Return the rows that the first kernel of a training step works on."""
    text = model.explain(batch, purpose="train")[0]["values"][0]
    return int(text[1:].split(",")[0])


def trained(steps=5, count=24, **options):
    x, y = pictures(count)
    model = compiled(small(norm=False, dropout=0.3), st.SGD(0.1, momentum=0.9), **options)
    step = model.train_step()
    losses = [float(step(x, y)) for _ in range(steps)]
    return model, losses


def test_slices_are_the_same_step():
    model, losses = trained()
    whole, expected = trained(deterministic="threads")
    assert rows_of(model) == 12 and rows_of(whole) == 24
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(model.get_weights(), whole.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    again, _ = trained()
    for first, second in zip(model.get_weights(), again.get_weights()):
        assert first.tobytes() == second.tobytes()
    x, y = pictures(24)
    assert model.evaluate(x, y) == pytest.approx(whole.evaluate(x, y), rel=1e-4)


MANY = 6 << 12  # rows: more than the caches hold at once


@pytest.mark.parametrize(("threads", "rows"), [(1, MANY // 8), (2, MANY // 16), (3, MANY // 24)])
def test_a_large_batch_is_several_slices_for_each_thread(threads, rows):
    st.set_threads(threads)
    model, losses = trained(3, MANY)
    whole, expected = trained(3, MANY, deterministic="threads")
    assert rows_of(model, MANY) == rows and rows_of(whole, MANY) == MANY
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(model.get_weights(), whole.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    again, _ = trained(3, MANY)
    for first, second in zip(model.get_weights(), again.get_weights()):
        assert first.tobytes() == second.tobytes()
    assert model.memory(MANY, "train")["planned"] < whole.memory(MANY, "train")["planned"] / 2


@pytest.mark.parametrize("count", [24, MANY])
def test_metrics_are_of_the_whole_batch(count):
    x, y = pictures(count)
    seen = []
    for deterministic in (True, "threads"):
        model = compiled(small(norm=False), st.SGD(0.0), deterministic=deterministic)
        seen.append(model.fit(x, y, epochs=1, batch_size=count, verbose=0).history)
    assert seen[0]["accuracy"] == pytest.approx(seen[1]["accuracy"])
    assert seen[0]["loss"] == pytest.approx(seen[1]["loss"], rel=1e-5)


def test_lenet_waits_at_two_places_of_a_step():
    model = st.zoo.lenet()
    model.compile(st.SGD(0.1), "sparse_categorical_crossentropy")
    rows = model.explain(64, purpose="train")
    # Every kernel up to the gradients has one thread's half of the batch; then comes the update.
    images = [row for row in rows if row["operation"].startswith(("conv2d", "max_pool2d"))]
    assert len(images) == 9
    for row in images:
        assert row["values"][0].startswith("[32,"), row
    assert rows[-1]["operation"] == "sgd"


def test_what_mixes_rows_runs_whole():
    model = compiled(small(norm=False))
    assert rows_of(model, 24) == 12
    assert rows_of(model, 25) == 25  # no even halves
    assert rows_of(model, 14) == 14  # too few rows
    assert rows_of(compiled(small(norm=True))) == 24

    model = small(norm=False)
    model.compile(st.SGD(0.1), lambda y, p: st.ops.reduce_sum(st.ops.square(y - p)))
    assert model.explain(24, purpose="train")[0]["values"][0].startswith("[24")
    model = small(norm=False)
    model.compile(st.SGD(0.1), lambda y, p: st.ops.reduce_mean(p - st.ops.reduce_mean(p, axes=[0])))
    assert model.explain(24, purpose="train")[0]["values"][0].startswith("[24")


@pytest.mark.parametrize(
    ("count", "row"), [(24, 2), (24, 20), (MANY, 0), (MANY, MANY // 3), (MANY, MANY - 1)]
)
def test_a_fault_in_any_slice_is_found_and_changes_nothing(count, row):
    x, y = pictures(count)
    x[row] = 3e38
    model = compiled(small(norm=False), st.SGD(0.1))
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(st.NumericsError, match="conv2d"):
        model.train_step()(x, y)
    for ours, kept in zip(model.get_weights(), before):
        assert ours.tobytes() == kept.tobytes()


@pytest.mark.parametrize("count", [24, MANY])
def test_memory_is_planned_and_profiled(count):
    model = compiled(small(norm=False))
    memory = model.memory(count, purpose="train")
    assert 0 < memory["used"] <= memory["planned"] < memory["used"] + 4096 * st.threads()
    x, y = pictures(count)
    rows = model.profile(x, y, rounds=2)
    assert all(0 <= row["microseconds"] < 1e6 for row in rows if not row["once"])
