"""The operators of tensors and symbolic values, and what symbolic values cannot be asked for."""

from __future__ import annotations

import numpy as np

from striate import _striate
from striate.errors import DTypeError
from striate.ops import call, counterpart

Tensor, Value = _striate.Tensor, _striate.Value

_MEETS = (Value, Tensor, np.ndarray, int, float, np.generic, list, tuple)


def _binary(name, swap=False):
    def operator(a, b):
        if not isinstance(b, _MEETS):
            return NotImplemented
        return call(name, [b, a] if swap else [a, b])

    return operator


def _not_equal():
    equal = _binary("equal")

    def operator(a, b):
        same = equal(a, b)
        return same if same is NotImplemented else call("equal", [same, Tensor(False)])

    return operator


def _unary(name):
    def operator(x):
        return call(name, [x])

    return operator


def _refusal(rule, fix):
    """Return a method that says why a symbolic value cannot do something."""

    def refuse(value, *args, **kwargs):
        raise DTypeError(rule=f"a symbolic value has no {rule}", values=repr(value), fix=fix)

    return refuse


def _refuse_numpy(value, function):
    ours = counterpart(function.__name__)
    raise DTypeError(
        layer=f"np.{function.__name__}",
        rule="NumPy's functions take arrays, not symbolic values",
        values=repr(value),
        fix=f"Use st.ops.{ours}" if ours else "st.ops.names() lists the functions that do",
    )


def _array_ufunc(value, ufunc, method, *inputs, **kwargs):
    """Let `array + value` be the operator, and name what serves in place of other functions."""
    operator = _BY_UFUNC.get(ufunc.__name__)
    if operator is None or method != "__call__" or kwargs:
        return _refuse_numpy(value, ufunc)
    return operator(*inputs)


def _array_function(value, function, types, args, kwargs):
    return _refuse_numpy(value, function)


_ARITHMETIC = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "power",
    "matmul": "matmul",
}
_COMPARISONS = {
    "lt": ("less", _binary("less")),
    "le": ("less_equal", _binary("greater_equal", swap=True)),
    "gt": ("greater", _binary("greater")),
    "ge": ("greater_equal", _binary("greater_equal")),
    "eq": ("equal", _binary("equal")),
    "ne": ("not_equal", _not_equal()),
}
_BY_UFUNC = {name: _binary(name) for name in _ARITHMETIC.values()} | dict(_COMPARISONS.values())
_BY_UFUNC["true_divide"] = _BY_UFUNC["divide"]  # its name before NumPy 2


def _install():
    for kind in (Tensor, Value):
        for python_name, name in _ARITHMETIC.items():
            setattr(kind, f"__{python_name}__", _binary(name))
            setattr(kind, f"__r{python_name}__", _binary(name, swap=True))
        for python_name, (_, compare) in _COMPARISONS.items():
            setattr(kind, f"__{python_name}__", compare)
        kind.__neg__ = _unary("negative")
        kind.__abs__ = _unary("abs")
        kind.__array_priority__ = 1000
    Tensor.__hash__ = None  # equal tensors would need equal hashes, and `==` is element by element
    run = "It is a step of a graph: st.Program(inputs, outputs) or a model computes it"
    Value.__bool__ = _refusal("truth", "Use st.ops.where(condition, a, b)")
    Value.__float__ = _refusal("number yet", run)
    Value.__int__ = _refusal("number yet", run)
    Value.__array__ = _refusal("numbers yet", run)
    Value.__len__ = _refusal("length", "Its sizes are value.shape")
    Value.__iter__ = _refusal("rows to go through", "Use st.ops.slice")
    Value.__getitem__ = _refusal("indexing", "Use st.ops.slice")
    Value.__array_ufunc__ = _array_ufunc
    Value.__array_function__ = _array_function


def refuse_copies(kind, fix):
    """Let `copy` and `pickle` say what to do instead: what is in C++ is in neither's reach."""

    name = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"

    def reduce(self, protocol=None):
        raise DTypeError(rule=f"{name} is neither pickled nor copied", fix=fix)

    kind.__reduce_ex__ = reduce
    kind.__reduce__ = reduce


_install()
# A tensor has __copy__ of its own.
refuse_copies(Tensor, "numpy() shares its memory and can be pickled")
