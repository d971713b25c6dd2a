"""Operations on tensors and on symbolic values: `st.ops.conv2d(image, kernel)`.

Each takes its inputs first (arrays, tensors or symbolic values), then its options by name. On
tensors it runs at once; on symbolic values it makes a node of the graph.
"""

from __future__ import annotations

import functools
import inspect
import re

import numpy as np

from striate import _striate
from striate.arguments import as_array, bind, dtype_name, nearest
from striate.errors import DTypeError

Tensor, Value = _striate.Tensor, _striate.Value


# NumPy's functions whose counterparts have other names.
_OTHER_NAMES = {
    "mean": "reduce_mean",
    "sum": "reduce_sum",
    "max": "reduce_max",
    "amax": "reduce_max",
    "concatenate": "concat",
    "true_divide": "divide",
    "absolute": "abs",
    "float_power": "power",
    "pad": "pad2d",
    "dot": "matmul",
}


def names():
    """Return the names of all operations."""
    return _striate.operation_names()


def counterpart(name):
    """Return the operation that does what NumPy's function of that name does, or None."""
    ours = _OTHER_NAMES.get(name, name)
    return ours if ours in names() else None


def as_known_integers(array):
    """Return integers of a width that tensors lack as int64; those beyond it are refused."""
    if array.dtype.kind not in "iu" or array.dtype in (np.uint8, np.int32, np.int64):
        return array
    most = np.iinfo(np.int64).max
    if array.dtype.kind == "u" and array.size and int(array.max()) > most:
        raise DTypeError(rule=f"integers must be at most {most}", values=str(array.max()))
    return array.astype(np.int64)


def as_tensor(value, dtype=None):
    """Return a tensor of a value: an array, whose memory it shares where it can, or numbers.

    Args:
        value: A tensor, an array, or numbers in lists.
        dtype: Element type to convert to; without it floats in lists become float32.
    """
    if isinstance(value, Tensor) and dtype in (None, value.dtype):
        return value
    array = as_array(value)
    if dtype is not None:
        array = array.astype(dtype_name(dtype))
    elif array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)
    return _striate.tensor_from_array(as_known_integers(array))


def call(name, inputs, options=None, outputs=1):
    """Apply an operation by name; return its first output, or all of them with outputs=None."""
    options = options or {}
    if not all(type(x) is Tensor for x in inputs):
        inputs = _alike(name, inputs)
    if any(isinstance(x, Value) for x in inputs):
        made = _striate.emit(name, [x if _is_known(x) else as_tensor(x) for x in inputs], options)
    else:
        tensors = [None if x is None else as_tensor(x) for x in inputs]
        made = _striate.run_operation(name, tensors, options)
    return made[0] if outputs == 1 else tuple(made)


def _is_known(x):
    return x is None or isinstance(x, (Value, Tensor, int, float))


@functools.cache
def _places_alike(name):
    """Return the places of an operation's inputs `a` and `b`, which have one element type."""
    if name not in _striate.operation_names(all=True):
        return ()
    names_ = _striate.describe_operation(name)["inputs"]
    return tuple(i for i, key in enumerate(names_) if key in ("a", "b"))


def _alike(name, inputs):
    """Return the inputs, numbers that meet a tensor or symbolic value converted to its type."""
    places = [i for i in _places_alike(name) if i < len(inputs)]
    typed = [inputs[i] for i in places if hasattr(inputs[i], "dtype")]
    values = [x for x in typed if isinstance(x, (Value, Tensor))]
    leaders = values or [x for x in typed if getattr(x, "ndim", 0) > 0]
    if not leaders:
        return inputs
    given = list(inputs)
    for i in places:
        x = given[i]
        if x is None or isinstance(x, (Value, Tensor)) or x is leaders[0]:
            continue
        if isinstance(x, np.ndarray) and x.ndim > 0:
            # NumPy's floats are of 64 bits unless somebody asks: here they are constants.
            if isinstance(leaders[0], Value) and (x.dtype, leaders[0].dtype) == ("f8", "float32"):
                given[i] = x.astype(np.float32)
        elif isinstance(x, (int, float, np.generic, np.ndarray, list, tuple)):
            given[i] = _numbers_like(leaders[0], x)
    return given


def _numbers_like(leader, numbers):
    """Return numbers as an array of a tensor's type; those that it cannot hold are refused."""
    name = str(leader.dtype)
    dtype = np.dtype("float32" if name == "bfloat16" else name)
    value = as_array(numbers)
    if dtype.kind != "f" and value.size:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if value.dtype.kind == "f" or int(value.min()) < low or int(value.max()) > high:
            raise DTypeError(
                rule=f"a tensor of {dtype} meets numbers that it can hold",
                values=repr(numbers),
                fix='Convert the tensor first: st.ops.cast(x, to="float32")',
            )
    return value.astype(dtype)


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
    outputs = None if schema["returns_all"] else 1

    def operation(*args, **kwargs):
        if variadic:
            values = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
            return call(name, list(values), kwargs, outputs)
        if len(args) == count and kwargs.keys() <= option_names:
            return call(name, args, kwargs, outputs)
        bound = bind(signature, args, kwargs, name)
        values = [bound.get(key) for key in inputs]
        options = {key: value for key, value in bound.items() if key in option_names}
        while values and values[-1] is None:
            values.pop()
        return call(name, values, options, outputs)

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
            ours = counterpart(name)
            fix = f"Perhaps '{ours}' is meant" if ours else nearest(name, names())
            fix = fix or "See striate.ops.names()"
            raise AttributeError(f"striate.ops has no operation '{name}'. {fix}.")
        _made[name] = _make(name)
    return _made[name]


def __dir__():
    return sorted(["as_tensor", "names", *names()])
