"""The worker for striate: trains or runs a workload's network, and saves its first weights."""

from __future__ import annotations

import gc

import numpy as np
import striate as st
from loop import serve
from workloads import CHECKED_STEPS, THREADS, Workload, save_weights


def alexnet(dropout: float) -> st.Model:
    """Make AlexNet as it is trained on 224x224 (Krizhevsky 2014: one tower, 64 first filters)."""

    def conv(filters, size, **options):
        return st.Conv2D(filters, size, activation="relu", **options)

    return st.Sequential(
        [
            st.Input((224, 224, 3)),
            conv(64, 11, strides=4, padding=2),
            st.MaxPool2D(3, strides=2),
            conv(192, 5, padding=2),
            st.MaxPool2D(3, strides=2),
            conv(384, 3, padding=1),
            conv(256, 3, padding=1),
            conv(256, 3, padding=1),
            st.MaxPool2D(3, strides=2),
            st.Flatten(),
            st.Dense(4096, activation="relu"),
            st.Dropout(dropout),
            st.Dense(4096, activation="relu"),
            st.Dropout(dropout),
            st.Dense(1000),
        ]
    )


def small_cnn(dropout: float) -> st.Model:
    """Make the small network of the workloads a64 and a256."""

    def conv(filters):
        return st.Conv2D(filters, 3, padding="same", activation="relu")

    return st.Sequential(
        [
            st.Input((28, 28, 1)),
            conv(32),
            conv(64),
            st.MaxPool2D(2),
            conv(128),
            st.MaxPool2D(2),
            st.Flatten(),
            st.Dense(128, activation="relu"),
            st.Dropout(dropout),
            st.Dense(10),
        ]
    )


class Ours:
    """One model, and a step of it."""

    def build(self, dropout: float) -> st.Model:
        """Make the network; those without dropout come from the zoo."""
        made = {"alexnet": alexnet, "small_cnn": small_cnn}.get(self.workload.network)
        model = made(dropout) if made else getattr(st.zoo, self.workload.network)()
        if self.workload.trains:
            if self.workload.optimizer == "adam":
                optimizer = st.Adam(self.workload.learning_rate, epsilon=1e-8)
            else:
                optimizer = st.SGD(self.workload.learning_rate, momentum=self.workload.momentum)
            model.compile(optimizer, loss="sparse_categorical_crossentropy")
        return model

    def first_weights(self) -> list[np.ndarray]:
        """Draw weights; statistics of batch norm are such that folding them shows."""
        random = np.random.default_rng(7)
        weights = []
        for weight in self.build(0.0).weights:
            value = np.array(weight.value().numpy())
            if weight.path.endswith("moving_mean"):
                value = random.normal(0, 0.1, value.shape)
            elif weight.path.endswith("moving_variance"):
                value = random.uniform(0.5, 1.5, value.shape)
            weights.append(value.astype(np.float32))
        return weights

    def prepare(self, workload: Workload, variant, folder) -> dict:
        """Save the first weights for the peers."""
        st.set_threads(THREADS)
        st.seed(1)
        self.workload = workload
        self.x, self.y = workload.data()
        self.weights = self.first_weights()
        save_weights(folder, self.weights)
        return {"striate": st.__version__}

    def make(self, dropout: float) -> None:
        """Make the model from the first weights, and its step."""
        self.step = None
        gc.collect()
        model = self.build(dropout)
        model.set_weights(self.weights)
        if self.workload.trains:
            train = model.train_step()
            self.step = lambda: train(self.x, self.y)
        else:
            self.step = lambda: model.predict(self.x)

    def check(self) -> list[float]:
        """Return the losses of the first steps without dropout, or the outputs."""
        self.make(0.0)
        if self.workload.trains:
            values = [float(self.step().numpy()) for _ in range(CHECKED_STEPS)]
        else:
            values = self.step().ravel().tolist()
        self.make(0.5)
        return values


if __name__ == "__main__":
    serve(Ours())
