"""What holds for the whole process: the seed, and the number of threads."""

from __future__ import annotations

from striate import _striate
from striate.arguments import seed_number, whole_number
from striate.errors import ShapeError


def seed(n):
    """Set the seed of later initializations, and the default one of shuffling and dropout.

    Args:
        n: A whole number from 0 to 2^64 - 1.

    Raises:
        ShapeError: Beyond that. DTypeError: For no whole number.
    """
    _striate.seed(seed_number(n))


def set_threads(n):
    """Set the number of threads of all later work.

    Args:
        n: A whole number from 1 to 4096.

    Raises:
        ShapeError: Beyond that. DTypeError: For no whole number.
    """
    count = whole_number(n, "the number of threads")
    if not 1 <= count <= 4096:
        raise ShapeError(rule="the number of threads must be from 1 to 4096", values=str(count))
    _striate.set_threads(count)
