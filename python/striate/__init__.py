"""striate: a deep-learning framework for images."""

from __future__ import annotations

import importlib

from striate import _striate
from striate._striate import (
    Tensor,
    Value,
    Variable,
    __version__,
    devices,
    memory_stats,
    seed,
    set_threads,
    threads,
)
from striate.errors import (
    DeviceError,
    DTypeError,
    Error,
    FileError,
    KernelError,
    LabelError,
    NumericsError,
    OutOfMemoryError,
    ShapeError,
)
from striate.model import Model, Sequential, load
from striate.program import Program, grad
from striate.registered import Input, Layer, register
from striate.registered import described_classes as _described_classes
from striate.registered import layer_classes as _layer_classes

from striate import kernels, ops  # isort: skip

globals().update(_layer_classes)
for _schemas in (
    _striate.optimizer_schemas(),
    _striate.schedule_schemas(),
    _striate.initializer_schemas(),
    _striate.loss_schemas(),
    _striate.metric_schemas(),
):
    globals().update(_described_classes(_schemas, "striate"))
del _schemas

_LAZY = ("data", "view", "zoo")
_IMPORTED = {"annotations", "errors", "importlib", "listed", "model", "program", "registered"}
__all__ = [name for name in globals() if not name.startswith("_") and name not in _IMPORTED]
__all__ += [*_LAZY, "History", "__version__"]


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f"striate.{name}")
    if name == "History":
        return importlib.import_module("striate.history").History
    raise AttributeError(f"module 'striate' has no attribute '{name}'")


def __dir__():
    return sorted(__all__)
