"""What holds for the whole process: the seed, and the number of threads."""

from __future__ import annotations

from striate import _striate
from striate.arguments import seed_number, whole_number


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
    most = 2**31 - 1  # the library says what it allows of these
    _striate.set_threads(max(-most, min(whole_number(n, "the number of threads"), most)))
