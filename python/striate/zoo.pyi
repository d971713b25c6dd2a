# Written by tools/stubs.py from what the library registers.
from collections.abc import Sequence

from striate.model import Model

def names() -> list[str]:
    """Return the networks' names."""

def alexnet(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network alexnet, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def lenet(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network lenet, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def resnet18(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network resnet18, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def resnet18_cifar(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network resnet18_cifar, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def resnet50(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network resnet50, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def small_cnn(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network small_cnn, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """

def vgg16(input_shape: Sequence[int] | None = None, classes: int | None = None) -> Model:
    """Make the network vgg16, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """
