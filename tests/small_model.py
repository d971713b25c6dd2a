"""A small network and its data, for the tests of models."""

from __future__ import annotations

import numpy as np
import striate as st


def pictures(count=24, size=8, channels=3, classes=3, seed=0):
    """Pictures whose class shows: channel `label % channels` is brighter."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    x = generator.random((count, size, size, channels), dtype=np.float32)
    x[np.arange(count), :, :, labels % channels] += 1
    return x, labels


def small(norm=True, dropout=0.0):
    st.seed(3)
    layers = [st.Input((8, 8, 3)), st.Conv2D(6, 3, padding="same", activation="relu")]
    layers += [st.BatchNormalization()] if norm else []
    layers += [st.MaxPool2D(2), st.Flatten()]
    layers += [st.Dropout(dropout)] if dropout else []
    return st.Sequential([*layers, st.Dense(3)])


def compiled(model, optimizer=None, seed=1, **options):
    optimizer = optimizer or st.Adam(1e-2)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"], seed=seed, **options)
    return model


def weight_bytes(model):
    return b"".join(value.tobytes() for value in model.get_weights())
