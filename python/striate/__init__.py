"""striate: a deep-learning framework for images."""

from __future__ import annotations

import importlib
import inspect

from striate import _striate
from striate._striate import (
    Tensor,
    Value,
    Variable,
    __version__,
    devices,
    memory_stats,
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
from striate.model import Model
from striate.program import Program, grad
from striate.registered import Input, Layer, register
from striate.registered import described_classes as _described_classes
from striate.registered import layer_classes as _layer_classes
from striate.sequential import Sequential, load
from striate.settings import seed, set_threads

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
__all__ = ["kernels", "ops"]
__all__ += [
    name
    for name, value in list(globals().items())
    if not name.startswith("_") and name != "annotations" and not inspect.ismodule(value)
]
__all__ += [*_LAZY, "History", "__version__"]


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f"striate.{name}")
    if name == "History":
        return importlib.import_module("striate.history").History
    fix = _striate.nearest(name, __all__)
    fix = f". Perhaps '{fix}' is meant." if fix else ""
    raise AttributeError(f"module 'striate' has no attribute '{name}'{fix}")


def __dir__():
    return sorted(__all__)
