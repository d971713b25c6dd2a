"""Tensors, programs and predictors on device "cuda", and what they refuse."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import striate as st


def small(device):
    st.seed(5)
    model = st.Sequential(
        [st.Input((6, 6, 1)), st.Conv2D(4, 3, activation="relu"), st.Flatten(), st.Dense(3)]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", device=device)
    return model


def test_a_program_of_the_cpu_refuses_tensors_of_the_gpu():
    x = st.Input((4,))
    program = st.Program([x], [st.ops.relu(x)])
    with pytest.raises(st.DeviceError, match="the program runs on cpu, got a tensor on cuda:0"):
        program(st.Tensor(np.ones((2, 4), "float32")).to("cuda"))
    assert program(np.ones((2, 4), "float32"))[0].numpy().sum() == 8


def test_models_in_several_threads_record_their_own_steps():
    x, y = np.ones((4, 6, 6, 1), "float32"), np.zeros(4, "int64")
    expected = small("cuda")
    for _ in range(3):
        expected.train_step()(x, y)
    models, failures = [small("cuda") for _ in range(3)], []

    def train(model):
        try:
            for _ in range(3):
                model.train_step()(x, y)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for model in models:
        for ours, theirs in zip(model.get_weights(), expected.get_weights()):
            np.testing.assert_array_equal(ours, theirs)


def test_memory_counts_what_a_step_holds_on_the_device():
    cpu, cuda = (small(device).memory(64, "train")["persistent"] for device in ("cpu", "cuda"))
    assert cuda >= cpu + 64 * 6 * 6 * 4
