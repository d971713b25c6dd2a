"""What users pass, checked where it enters: numbers, names, files, arrays, keywords.

Each check returns the value as the library takes it, or raises an error that names the argument,
what was asked for, and what was given instead.
"""

from __future__ import annotations

import inspect
import operator
import os

import numpy as np

from striate import _striate
from striate.errors import DTypeError, Error, FileError, ShapeError

_LONGEST = 80


def shown(value):
    """Return a text of a value that fits into a message; of an array its type and sizes."""
    if isinstance(value, np.generic):
        return str(value)
    if isinstance(value, _striate.Value):
        return repr(value)
    if isinstance(value, (type, np.ufunc)) or inspect.isroutine(value):
        kind = "the class" if isinstance(value, type) else "the function"
        return f"{kind} {value.__name__}"
    if len(getattr(value, "shape", None) or ()) and hasattr(value, "dtype"):
        return f"{type(value).__name__} {list(value.shape)} of {value.dtype}"
    if isinstance(value, (list, tuple)) and any(hasattr(item, "dtype") for item in value):
        return f"a {type(value).__name__} of {len(value)}, the first {shown(value[0])}"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({type(value).__name__})"


def nearest(word, known):
    """Return the sentence that names the known word which a misspelt one is nearest to, if any."""
    found = _striate.nearest(str(word), list(known))
    return f"Perhaps '{found}' is meant" if found else ""


def whole_number(value, name, least=None, most=None, layer=""):
    """Return a whole number in [least, most]."""
    try:
        number = operator.index(value)
    except TypeError:
        rule = f"{name} must be a whole number"
        raise DTypeError(layer=layer, rule=rule, values=shown(value)) from None
    if least is not None and number < least:
        raise ShapeError(layer=layer, rule=f"{name} must be at least {least}", values=str(number))
    if most is not None and number > most:
        raise ShapeError(layer=layer, rule=f"{name} must be at most {most}", values=str(number))
    return number


def seed_number(value, name="a seed", layer=""):
    """Return a seed: a whole number of 64 bits."""
    return whole_number(value, name, 0, 2**64 - 1, layer)


def real_number(value, name):
    """Return a number as a float."""
    try:
        if not isinstance(value, str):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise DTypeError(rule=f"{name} must be a number", values=shown(value))


def text(value, name):
    """Return a string."""
    if not isinstance(value, str):
        raise DTypeError(rule=f"{name} must be a string", values=shown(value))
    return value


def flag(value, name):
    """Return True or False, which may be given as 1 or 0."""
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise DTypeError(rule=f"{name} must be True or False", values=shown(value))
    return bool(value)


def one_of(value, name, known):
    """Return one of the known words."""
    if value not in known:
        words = ", ".join(map(repr, known))
        fix = nearest(value, known)
        raise ShapeError(rule=f"{name} must be one of {words}", values=shown(value), fix=fix)
    return value


def sizes(value, name):
    """Return a shape as a list of whole numbers, None where a size is free."""
    try:
        if isinstance(value, (str, bytes, dict)):
            raise TypeError
        given = list(value)
    except TypeError:
        rule = f"{name} is a sequence of sizes, such as (28, 28, 1)"
        raise DTypeError(rule=rule, values=shown(value)) from None
    return [None if d is None else whole_number(d, f"a size of {name}") for d in given]


def dtype_name(value):
    """Return the name of an element type that is given as a name or as NumPy's or torch's."""
    if isinstance(value, str):
        return value
    try:
        dtype = np.dtype(value)
    except TypeError:
        name = str(value)
        return name[len("torch.") :] if name.startswith("torch.") else shown(value)
    return dtype.name if dtype.kind != "O" else shown(value)


def file_path(value):
    """Return a file's path as a string; bytes that are none survive in it."""
    try:
        path = os.fsdecode(value)
    except TypeError:
        raise DTypeError(
            rule="a file is named by a string or a path", values=shown(value)
        ) from None
    if "\0" in path:
        raise FileError(rule="a path must not contain a zero byte", values=repr(value))
    return path


def as_array(value, name="an array", layer=""):
    """Return what NumPy makes of a value, which must be numbers."""
    try:
        array = np.asarray(value)
    except Error:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        ragged = isinstance(error, ValueError) and isinstance(value, (list, tuple))
        rule = f"{name} must hold numbers" + (", as many in each row" if ragged else "")
        kind = ShapeError if ragged else DTypeError
        raise kind(layer=layer, rule=rule, values=f"{shown(value)} ({error})") from error
    if array.dtype.kind not in "fuib" and array.dtype.name != "bfloat16":
        given = value.dtype if hasattr(value, "dtype") else shown(value)
        fix = ""
        if hasattr(value, "__next__"):
            fix = "Give arrays, or a st.data.Batches; train_step takes one batch at a time"
        rule = f"{name} must hold numbers"
        raise DTypeError(layer=layer, rule=rule, values=str(given), fix=fix)
    return array


def bind(signature, args, kwargs, owner):
    """Return the arguments that were given, by name; `owner` takes no others."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        reason = str(error)
    parameters = signature.parameters
    named = [p.name for p in parameters.values() if p.kind is not p.VAR_POSITIONAL]
    for key in kwargs:
        if key not in named:
            raise DTypeError(
                layer=owner,
                rule=f"the arguments are {', '.join(named)}" if named else "it takes no arguments",
                values=f"'{key}'",
                fix=nearest(key, named),
            )
    places = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(places):
        by_place = ", ".join(places) or "nothing"
        by_name = ", ".join(name for name in named if name not in places)
        raise DTypeError(
            layer=owner,
            rule=f"it takes {by_place} by place" + (f" and {by_name} by name" if by_name else ""),
            values=f"{len(args)} by place",
        )
    missing = [p.name for p in parameters.values() if p.default is p.empty]
    missing = [name for name in missing[len(args) :] if name not in kwargs]
    raise DTypeError(layer=owner, rule=f"it needs {', '.join(missing)}" if missing else reason)
