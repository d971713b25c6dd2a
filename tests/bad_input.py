"""What the tests of bad input share: the check of a whole text, a model, and its state."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st


def raises(kind, text, call):
    """Check the whole text of an error, and that its parts make it up."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind and isinstance(error, st.Error)
    assert str(error) == text
    assert error.rule and error.rule in text and error.values in text and error.fix in text
    assert f"[{error.layer}]" in text or not error.layer
    return error


@pytest.fixture(autouse=True)
def valid_calls_work_after():
    yield
    model = classifier()
    assert model.fit(np.ones((5, 4, 4, 1)), np.arange(5) % 3, verbose=False).epochs[0]["loss"] > 0
    assert np.isfinite(model.predict(np.ones((2, 4, 4, 1)))).all()


def classifier(**options):
    st.seed(0)
    model = st.Sequential([
        st.Input((4, 4, 1), name="picture"),
        st.Conv2D(4, 3, name="conv"),
        st.BatchNormalization(name="norm"),
        st.ReLU(name="relu"),
        st.Flatten(),
        st.Dense(3, name="classes"),
    ])  # fmt: skip
    model.compile(st.Adam(0.1), "sparse_categorical_crossentropy", ["accuracy"], **options)
    return model


def state(model):
    values = [*model.get_weights(), *(v.value().numpy() for v in model.optimizer.state)]
    return b"".join(value.tobytes() for value in values)
