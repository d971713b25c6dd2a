"""The worker for PyTorch, eager, in its two memory formats: `eager` (NCHW) and `channels_last`."""

from __future__ import annotations

import numpy as np
import torch
from loop import serve
from torch import nn
from workloads import (
    CHECKED_STEPS,
    THREADS,
    Workload,
    fold_batch_norm,
    load_weights,
    to_channels_first,
)


def conv_relu(inputs: int, filters: int, size: int, **options) -> list[nn.Module]:
    """Convolution with bias and relu."""
    return [nn.Conv2d(inputs, filters, size, **options), nn.ReLU(inplace=True)]


def dense_relu(inputs: int, units: int, dropout: float = 0.0) -> list[nn.Module]:
    """Dense layer with relu, and dropout where there is some."""
    layers = [nn.Linear(inputs, units), nn.ReLU(inplace=True)]
    return [*layers, nn.Dropout(dropout)] if dropout else layers


def small_cnn(dropout: float) -> nn.Module:
    """Make the network of a64 and a256."""
    return nn.Sequential(
        *conv_relu(1, 32, 3, padding=1),
        *conv_relu(32, 64, 3, padding=1),
        nn.MaxPool2d(2),
        *conv_relu(64, 128, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *dense_relu(7 * 7 * 128, 128, dropout),
        nn.Linear(128, 10),
    )


def lenet(dropout: float) -> nn.Module:
    """Make the network of b64; it has no dropout."""
    return nn.Sequential(
        *conv_relu(1, 6, 5, padding=2),
        nn.MaxPool2d(2),
        *conv_relu(6, 16, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *dense_relu(400, 120),
        *dense_relu(120, 84),
        nn.Linear(84, 10),
    )


def alexnet(dropout: float) -> nn.Module:
    """Make the network of d16."""
    return nn.Sequential(
        *conv_relu(3, 64, 11, stride=4, padding=2),
        nn.MaxPool2d(3, stride=2),
        *conv_relu(64, 192, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        *conv_relu(192, 384, 3, padding=1),
        *conv_relu(384, 256, 3, padding=1),
        *conv_relu(256, 256, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.Flatten(),
        *dense_relu(6 * 6 * 256, 4096, dropout),
        *dense_relu(4096, 4096, dropout),
        nn.Linear(4096, 1000),
    )


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; normalised, or with biases where that is folded in."""

    def __init__(self, inputs: int, filters: int, stride: int, folded: bool):
        super().__init__()
        self.first = conv_norm(inputs, filters, 3, stride, folded)
        self.second = conv_norm(filters, filters, 3, 1, folded)
        self.shortcut = None
        if stride != 1 or inputs != filters:
            self.shortcut = conv_norm(inputs, filters, 1, stride, folded)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Return relu(second(relu(first(x))) + shortcut(x))."""
        y = self.second(self.relu(self.first(x)))
        return self.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def conv_norm(inputs: int, filters: int, size: int, stride: int, folded: bool) -> nn.Module:
    """Convolution with batch norm, or with a bias where that is folded in."""
    conv = nn.Conv2d(inputs, filters, size, stride, padding=size // 2, bias=folded)
    return conv if folded else nn.Sequential(conv, nn.BatchNorm2d(filters))


def resnet(cifar: bool, classes: int) -> nn.Module:
    """Make ResNet-18: with batch norm in its CIFAR form, folded at 224x224."""
    stem = conv_norm(3, 64, 3 if cifar else 7, 1 if cifar else 2, not cifar)
    layers = [stem, nn.ReLU(inplace=True)]
    if not cifar:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    inputs = 64
    for filters in (64, 128, 256, 512):
        layers.append(Block(inputs, filters, 1 if filters == 64 else 2, not cifar))
        layers.append(Block(filters, filters, 1, not cifar))
        inputs = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


NETWORKS = {
    "small_cnn": small_cnn,
    "lenet": lenet,
    "alexnet": alexnet,
    "resnet18_cifar": lambda dropout: resnet(True, 10),
    "resnet18": lambda dropout: resnet(False, 1000),
}


class Torch:
    """One module, and a step of it."""

    def prepare(self, workload: Workload, variant: str, folder) -> dict:
        """Read the weights and lay out the batch."""
        torch.set_num_threads(THREADS)
        self.workload, self.variant = workload, variant
        weights = load_weights(folder)
        self.weights = to_channels_first(weights) if workload.trains else fold_batch_norm(weights)
        x, y = workload.data()
        self.x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        if variant == "channels_last":
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.y = torch.from_numpy(y)
        return {"torch": torch.__version__}

    def make(self, dropout: float) -> None:
        """Make the module from the first weights, and its step."""
        self.step = None
        workload = self.workload
        module = NETWORKS[workload.network](dropout)
        names = [name for name in module.state_dict() if not name.endswith("num_batches_tracked")]
        state = dict(zip(names, map(torch.from_numpy, self.weights)))
        missing, unexpected = module.load_state_dict(state, strict=False)
        if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
            raise ValueError(f"the weights do not fit: {missing} {unexpected}")
        if self.variant == "channels_last":
            module = module.to(memory_format=torch.channels_last)
        if not workload.trains:
            module.eval()
            self.step = torch.inference_mode()(lambda: module(self.x))
            return
        if workload.optimizer == "adam":
            optimizer = torch.optim.Adam(module.parameters(), workload.learning_rate)
        else:
            rates = {"lr": workload.learning_rate, "momentum": workload.momentum}
            optimizer = torch.optim.SGD(module.parameters(), **rates)
        criterion = nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(module(self.x), self.y)
            loss.backward()
            optimizer.step()
            return loss

        self.step = step

    def check(self) -> list[float]:
        """Return the losses of the first steps without dropout, or the outputs."""
        self.make(0.0)
        if self.workload.trains:
            values = [self.step().item() for _ in range(CHECKED_STEPS)]
        else:
            values = self.step().flatten().tolist()
        self.make(0.5)
        return values


if __name__ == "__main__":
    serve(Torch())
