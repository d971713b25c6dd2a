"""The exceptions that striate raises, from Python and from the C++ core.

Each is also the built-in exception a Python user expects (`ShapeError` is a `ValueError`), and each
carries its parts, so that a program need not take the text apart:

>>> try:
...     raise ShapeError(layer='Conv2D "block2/conv1"', rule="'valid' padding needs height >= 5",
...                      values="input [N, 3, 3, 64]", fix='Use padding="same"')
... except ValueError as error:
...     print(error.layer, "|", error.rule, "|", error.values)
...     print(str(error).endswith('got input [N, 3, 3, 64]. Use padding="same".'))
Conv2D "block2/conv1" | 'valid' padding needs height >= 5 | input [N, 3, 3, 64]
True
"""

from __future__ import annotations

__all__ = [
    "DTypeError",
    "DeviceError",
    "Error",
    "FileError",
    "KernelError",
    "LabelError",
    "NumericsError",
    "OutOfMemoryError",
    "ShapeError",
]


class Error(Exception):
    """Base of every exception that striate raises on purpose.

    `message` is the whole text; without it, the text is made of the parts as
    `[layer] rule, got values. fix.`, as in C++.

    layer: the layer's type and path in the model, or the function, e.g. `Conv2D "block2/conv1"`
    rule: what was asked for
    values: what was found instead
    fix: what to do about it; empty where there is no single cure
    """

    def __init__(
        self,
        message: str = "",
        *,
        layer: str = "",
        rule: str = "",
        values: str = "",
        fix: str = "",
    ):
        super().__init__(message or (_compose(layer, rule, values, fix) if rule else ""))
        self.layer = layer
        self.rule = rule
        self.values = values
        self.fix = fix

    def __str__(self) -> str:
        # OSError would print its errno form; the text is always the one argument.
        return str(self.args[0]) if self.args else ""


def _compose(layer: str, rule: str, values: str, fix: str) -> str:
    text = f"[{layer}] {rule}" if layer else rule
    if values:
        text += f", got {values}"
    return f"{text}. {fix}." if fix else f"{text}."


class ShapeError(Error, ValueError):
    """A shape, size, stride, or count that an operation cannot work with."""


class DTypeError(Error, TypeError):
    """An argument that does not exist, or of a type that cannot be worked with."""


class LabelError(Error, ValueError):
    """A label outside the classes; `values` names the sample."""


class NumericsError(Error, ArithmeticError):
    """NaN or infinity where numbers are needed; `layer` and `values` say where and when."""


class FileError(Error, OSError):
    """A file that is missing, damaged, not what it claims to be, or cannot be written."""


class DeviceError(Error, RuntimeError):
    """A device that is absent or fails."""


class KernelError(Error, RuntimeError):
    """A kernel that was forced and cannot do the problem, or failed while it ran."""


class OutOfMemoryError(Error, MemoryError):
    """Memory that was planned or asked for and is not there."""
