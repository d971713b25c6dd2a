"""Tests of fit over a data set: the order, errors that name samples, and training on later."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import striate as st
from small_model import compiled, pictures, small, weight_bytes


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("samples", [1, 4, 5, 1000])
def test_the_order_is_that_of_numpys_recorded_words(seed, samples):
    batches = st.data.Batches(np.arange(samples), batch_size=7, seed=seed)
    for epoch in (0, 3):
        key = np.array([seed, epoch], np.uint64)
        words = np.random.Philox(key=key).random_raw(samples)
        np.testing.assert_array_equal(batches.order(epoch), np.argsort(words, kind="stable"))


def test_batches_say_which_samples_they_gave():
    batches = st.data.Batches(np.arange(10), batch_size=4, seed=1)
    assert batches.indices is None
    for batch in batches:
        np.testing.assert_array_equal(batch, batches.indices)


@pytest.mark.parametrize("shuffle", [True, False])
def test_errors_name_the_sample_of_the_data_set(shuffle):
    x, y = pictures(50)
    model = compiled(small())
    wrong = y.copy()
    wrong[41] = 7
    with pytest.raises(st.LabelError, match="got label 7 of sample 41[.]"):
        model.fit(x, wrong, batch_size=8, shuffle=shuffle, verbose=False)
    with pytest.raises(st.LabelError, match="got label 7 of sample 41[.]"):
        model.evaluate(x, wrong, batch_size=8)
    with pytest.raises(st.LabelError, match="got label 7 of sample 41[.]"):
        model.fit(st.data.Batches(x, wrong, 8, shuffle=shuffle), verbose=False)
    with pytest.raises(st.LabelError, match="got label 7 of sample 1 of the batch[.]"):
        model.train_step()(x[40:44], wrong[40:44])
    broken = x.copy()
    broken[33, 2, 2, 1] = np.nan
    with pytest.raises(st.NumericsError, match="got NaN or infinity in sample 33[.]"):
        model.fit(broken, y, batch_size=8, shuffle=shuffle, verbose=False)
    model.fit(x, y, batch_size=8, verbose=False)


def test_training_on_says_what_is_otherwise(tmp_path):
    x, y = pictures(24)
    model = compiled(small())
    model.fit(x, y, batch_size=8, verbose=False)
    file = tmp_path / "c.safetensors"
    model.save(file, checkpoint=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.load(file)
    before = st.threads()
    try:
        st.set_threads(before + 3)
        with pytest.warns(UserWarning, match=f"threads was {before}, now it is {before + 3}$"):
            st.load(file)
    finally:
        st.set_threads(before)
    with (
        st.kernels.use("matmul=reference"),
        pytest.warns(
            UserWarning,
            match="the rule that forces kernels was '.*', now it is 'matmul=reference'$",
        ),
    ):
        st.load(file)


def test_training_on_uses_the_kernels_of_the_checkpoint(tmp_path):
    x, y = pictures(24)
    rule = "conv2d=reference,matmul=reference"
    with st.kernels.use(rule):
        whole = compiled(small())
        whole.fit(x, y, batch_size=8, epochs=2, seed=1, verbose=False)
        model = compiled(small())
        model.fit(x, y, batch_size=8, epochs=1, seed=1, verbose=False)
        model.save(tmp_path / "c.safetensors", checkpoint=True)
    with pytest.warns(UserWarning, match=f"was '{rule}'"):
        again = st.load(tmp_path / "c.safetensors")
    rows = [row for row in again.explain(8, "train") if row["operation"] in ("conv2d", "matmul")]
    assert len(rows) >= 4
    assert {row["entry"] for row in rows} == {"reference"}
    assert {row["why"] for row in rows} == {"kept from the checkpoint"}
    again.fit(x, y, batch_size=8, epochs=1, seed=1, initial_epoch=1, verbose=False)
    assert weight_bytes(again) == weight_bytes(whole)
    again.save(tmp_path / "d.safetensors", checkpoint=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        third = st.load(tmp_path / "d.safetensors")
    assert third.explain(8, "train")[-1]["why"] == again.explain(8, "train")[-1]["why"]
    with st.kernels.use("matmul=auto"):
        again.compile("adam", "sparse_categorical_crossentropy")  # a new training chooses anew
        assert "kept" not in str(again.explain(8, "train"))
