"""One value or several: the arguments that take both."""

from __future__ import annotations


def listed(value):
    """Return a list of the values."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
