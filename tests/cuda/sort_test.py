"""Sorting on device "cuda", by itself and in the metric of the best scores."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st


def test_the_largest_and_their_places():
    rows = np.array([[3, -1, 7, 7, np.nan], [0, 2, -np.inf, -2, 1]], "float32")
    x = st.Tensor(rows).to("cuda")
    values, places = st.ops.top_k(x, k=3)
    np.testing.assert_array_equal(values.numpy(), [[np.nan, 7, 7], [2, 1, 0]])
    np.testing.assert_array_equal(places.numpy(), [[4, 2, 3], [1, 4, 0]])
    np.testing.assert_array_equal(st.ops.sort(x).numpy(), np.sort(rows))  # numpy's NaN are last too


@pytest.mark.parametrize("purpose", ["train", "test"])
def test_the_metric_of_the_best_scores_sorts_them(purpose):
    rng = np.random.default_rng(1)
    x, y = rng.random((12, 6), dtype=np.float32), rng.integers(0, 9, 12)

    def share(device):
        st.seed(2)
        model = st.Sequential([st.Input((6,)), st.Dense(9)])
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, [st.TopKAccuracy(k=3)], device=device)
        if purpose == "train":
            history = model.fit(x, y, batch_size=4, epochs=2, verbose=False)
            return model, history.history["top_k_accuracy"]
        return model, model.evaluate(x, y, batch_size=4)["top_k_accuracy"]

    model, ours = share("cuda")
    assert ours == share("cpu")[1]
    used = {row["operation"]: row["entry"] for row in model.explain(4, purpose)}
    assert used["top_k_correct"] == "radix_sort"
