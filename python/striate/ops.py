"""Operations on tensors and on symbolic values: `st.ops.conv2d(image, kernel)`.

Each takes its inputs first (arrays, tensors or symbolic values), then its options by name. On
tensors it runs at once; on symbolic values it makes a node of the graph.
"""

from __future__ import annotations

import inspect
import re

import numpy as np

from striate import _striate
from striate.errors import DTypeError

Tensor, Value = _striate.Tensor, _striate.Value


def names():
    """Return the names of all operations."""
    return _striate.operation_names()


def as_known_integers(array):
    """Return integers of a width that tensors lack as int64; those beyond it are refused."""
    if array.dtype.kind not in "iu" or array.dtype in (np.uint8, np.int32, np.int64):
        return array
    most = np.iinfo(np.int64).max
    if array.dtype.kind == "u" and array.size and int(array.max()) > most:
        raise DTypeError(rule=f"integers must be at most {most}", values=str(array.max()))
    return array.astype(np.int64)


def as_tensor(value):
    """Return a tensor of a value: an array, whose memory it shares where it can, or numbers."""
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)
    return _striate.tensor_from_array(as_known_integers(array))


def call(name, inputs, options=None, outputs=1):
    """Apply an operation by name; return its first output, or all of them with outputs=None."""
    options = options or {}
    if any(isinstance(x, Value) for x in inputs):
        made = _striate.emit(name, [x if _is_known(x) else as_tensor(x) for x in inputs], options)
    else:
        tensors = [None if x is None else as_tensor(x) for x in inputs]
        made = _striate.run_operation(name, tensors, options)
    return made[0] if outputs == 1 else tuple(made)


def _is_known(x):
    return x is None or isinstance(x, (Value, Tensor, int, float))


def _make(name):
    schema = _striate.describe_operation(name)
    parameters, variadic = [], False
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    inputs = []
    for text in schema["inputs"]:
        if text.endswith("..."):
            variadic = True
            parameters.append(inspect.Parameter(text[:-3], inspect.Parameter.VAR_POSITIONAL))
            continue
        key = text.strip("[]").replace("like ", "like_")
        inputs.append(key)
        default = None if text.startswith("[") else inspect.Parameter.empty
        parameters.append(inspect.Parameter(key, positional, default=default))
    for field in schema["fields"]:
        parameters.append(
            inspect.Parameter(
                field["name"],
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field["required"] else field["default"],
                annotation=field["type"],
            )
        )
    signature = inspect.Signature(parameters)
    count = len(inputs)
    option_names = {field["name"] for field in schema["fields"]}

    def operation(*args, **kwargs):
        if variadic:
            values = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
            return call(name, list(values), kwargs)
        if len(args) == count and kwargs.keys() <= option_names:
            return call(name, args, kwargs)
        bound = signature.bind(*args, **kwargs).arguments
        values = [bound.get(key) for key in inputs]
        options = {key: value for key, value in bound.items() if key in option_names}
        while values and values[-1] is None:
            values.pop()
        return call(name, values, options)

    doc = re.sub(r"\blike (\w+):", r"like_\1:", schema["doc"])
    lines = [doc, ""] + (["Args:"] if schema["fields"] else [])
    for field in schema["fields"]:
        lines.append(f"    {field['name']}: {field['doc']} Default: {field['default']!r}.")
    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = "\n".join(lines)
    operation.__signature__ = signature
    return operation


_made: dict = {}


def __getattr__(name):
    if name not in _made:
        if name.startswith("_") or name not in names():
            raise AttributeError(f"striate.ops has no operation '{name}'; see striate.ops.names()")
        _made[name] = _make(name)
    return _made[name]


def __dir__():
    return sorted(["as_tensor", "names", *names()])


def _number_like(tensor, number):
    """Return a number as an array of a tensor's type; one that the type cannot hold is refused."""
    dtype, value = np.dtype(tensor.dtype), np.asarray(number)
    if dtype.kind != "f":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if value.dtype.kind == "f" or not low <= int(value) <= high:
            raise DTypeError(
                rule=f"a tensor of {dtype} meets numbers that it can hold",
                values=repr(number),
                fix='Convert the tensor first: st.ops.cast(x, to="float32")',
            )
    return value.astype(dtype)


def _binary(name, swap=False):
    def operator(a, b):
        if not isinstance(b, (Value, Tensor, np.ndarray, int, float, np.generic)):
            return NotImplemented
        if isinstance(b, (int, float, np.generic)) and isinstance(a, Tensor):
            b = _number_like(a, b)
        return call(name, [b, a] if swap else [a, b])

    return operator


def _install_operators():
    for kind in (Tensor, Value):
        for python_name, name in (
            ("add", "add"),
            ("sub", "subtract"),
            ("mul", "multiply"),
            ("truediv", "divide"),
            ("pow", "power"),
        ):
            setattr(kind, f"__{python_name}__", _binary(name))
            setattr(kind, f"__r{python_name}__", _binary(name, swap=True))
        for python_name, name in (
            ("lt", "less"),
            ("gt", "greater"),
            ("ge", "greater_equal"),
            ("le", "less_equal"),
        ):
            setattr(kind, f"__{python_name}__", _binary(name))
        kind.__neg__ = lambda x: call("negative", [x])
        kind.__abs__ = lambda x: call("abs", [x])
        kind.__matmul__ = lambda a, b: call("matmul", [a, b])
        kind.__array_priority__ = 1000


_install_operators()
