"""Tests of compile(tune=True): kernels chosen by measuring them."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st
from small_model import compiled, pictures, small, weight_bytes


def choices(model, purpose="train"):
    """Return {(layer, operation): (entry, why)} of the program for 24 samples, without copies."""
    rows = [row for row in model.explain(24, purpose) if row["operation"] != "reorder"]
    return {(row["layer"], row["operation"]): (row["entry"], row["why"]) for row in rows}


def test_measured_kernels_are_taken_and_train_alike():
    x, y = pictures()
    plain, tuned = compiled(small()), compiled(small(), tune=True)
    plain.fit(x, y, epochs=3, seed=1, verbose=False)
    tuned.fit(x, y, epochs=3, seed=1, verbose=False)
    for ours, others in zip(tuned.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(ours, others, rtol=1e-3, atol=1e-4)
    found = choices(tuned)
    measured = {key for key, (_, why) in found.items() if why == "measured to be the quickest"}
    assert {("conv2d", "conv2d"), ("conv2d", "conv2d_backward_weight")} <= measured
    assert all(entry != "reference" for key, (entry, _) in found.items() if key in measured)
    assert not any("measured" in why for _, why in choices(plain).values())


def test_a_problem_is_measured_once():
    first, second = (compiled(small(), tune=True) for _ in range(2))
    x, y = pictures()
    for model in (first, second):
        model.fit(x, y, seed=1, verbose=False)
    assert choices(first) == choices(second)
    assert weight_bytes(first) == weight_bytes(second)


def test_a_forced_kernel_is_taken_still():
    with st.kernels.use("conv2d=reference"):
        entry, why = choices(compiled(small(), tune=True))["conv2d", "conv2d"]
    assert entry == "reference" and why.startswith("forced")


@pytest.mark.parametrize("purpose", ["train", "predict"])
def test_a_checkpoint_keeps_what_was_measured(tmp_path, purpose):
    x, y = pictures()
    model = compiled(small(), tune=True)
    model.fit(x, y, batch_size=24, verbose=False)
    model.predict(x)
    model.save(tmp_path / "c.safetensors", checkpoint=True)
    again = st.load(tmp_path / "c.safetensors")
    before, after = choices(model, purpose), choices(again, purpose)
    assert {key: entry for key, (entry, _) in before.items()} == {
        key: entry for key, (entry, _) in after.items()
    }
    assert "kept from the checkpoint" in {why for _, why in after.values()}
