"""The workloads that both sides run, and the numbers that both start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

THREADS = 2
CHECKED_STEPS = 5


@dataclass(frozen=True)
class Workload:
    """A network and what is done with it: training steps, or inference without an optimizer."""

    network: str
    batch: int
    shape: tuple[int, int, int]  # of an image: height, width, channels
    classes: int
    optimizer: str = ""
    learning_rate: float = 0.0
    momentum: float = 0.0

    @property
    def trains(self) -> bool:
        """Say whether a step trains."""
        return bool(self.optimizer)

    @property
    def unit(self) -> str:
        """Name what the values are: more images/s or fewer ms are better."""
        return "images/s" if self.trains else "ms"

    def value(self, seconds: float) -> float:
        """Convert the seconds of one step to the unit."""
        return self.batch / seconds if self.trains else seconds * 1e3

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return one batch: images [N, H, W, C] and labels [N]."""
        random = np.random.default_rng(20)
        x = random.standard_normal((self.batch, *self.shape), dtype=np.float32)
        return x, random.integers(0, self.classes, self.batch)


WORKLOADS = {
    "a64": Workload("small_cnn", 64, (28, 28, 1), 10, "adam", 1e-3),
    "a256": Workload("small_cnn", 256, (28, 28, 1), 10, "adam", 1e-3),
    "b64": Workload("lenet", 64, (28, 28, 1), 10, "sgd", 0.01),
    "c32": Workload("resnet18_cifar", 32, (32, 32, 3), 10, "sgd", 0.01, 0.9),
    "d16": Workload("alexnet", 16, (224, 224, 3), 1000, "sgd", 0.01, 0.9),
    "e1": Workload("resnet18", 1, (224, 224, 3), 1000),
}


def save_weights(folder: Path, weights: list[np.ndarray]) -> None:
    """Write weights in the order of the layers, in our layouts."""
    np.savez(folder / "weights.npz", *weights)


def load_weights(folder: Path) -> list[np.ndarray]:
    """Read what `save_weights` wrote."""
    with np.load(folder / "weights.npz") as file:
        return [file[f"arr_{i}"] for i in range(len(file.files))]


def to_channels_first(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Convert filters [K, R, S, C] to [K, C, R, S] and dense [in, out] to [out, in].

    The rows of the first dense layer follow the flattened image: [H, W, C] becomes [C, H, W].
    """
    made, channels = [], 0
    for weight in weights:
        if weight.ndim == 4:
            channels = weight.shape[0]
            weight = weight.transpose(0, 3, 1, 2)
        elif weight.ndim == 2:
            if channels:
                side = round((weight.shape[0] / channels) ** 0.5)
                image = weight.reshape(side, side, channels, -1)
                weight = image.transpose(2, 0, 1, 3).reshape(weight.shape)
                channels = 0
            weight = weight.T
        made.append(np.ascontiguousarray(weight))
    return made


def fold_batch_norm(weights: list[np.ndarray], epsilon: float = 1e-5) -> list[np.ndarray]:
    """Fold (filters, gamma, beta, mean, variance) into (filters, bias), channels first."""
    made = []
    queue = to_channels_first(weights)
    while len(queue) > 2:
        filters, gamma, beta, mean, variance = (array.astype(np.float64) for array in queue[:5])
        del queue[:5]
        factor = gamma / np.sqrt(variance + epsilon)
        made += [filters * factor[:, None, None, None], beta - mean * factor]
    return [array.astype(np.float32) for array in made + queue]
