"""What users give as a model's data, as the arrays that its programs take."""

from __future__ import annotations

import numpy as np

from striate import _striate
from striate.arguments import as_array, real_number, shown
from striate.errors import DTypeError, ShapeError
from striate.ops import as_known_integers

Tensor = _striate.Tensor

# Elements that the bindings take as they are.
_TAKEN = {np.dtype(name) for name in ("float32", "uint8", "int32", "int64", "bool")}


def tensors(arrays):
    """Return tensors that share the arrays' memory."""
    return [_striate.tensor_from_array(array) for array in arrays]


def need_samples(arrays, what):
    """Return the number of samples, which is the same in all arrays and at least one."""
    counts = {len(a) if a.ndim else 0 for a in arrays}
    if len(counts) != 1 or 0 in counts:
        rule = "every array must have the same number of samples, at least one"
        values = f"{what} of {', '.join(str(a.shape) for a in arrays)}"
        raise ShapeError(rule=rule, values=values)
    return counts.pop()


def one_or_list(arrays):
    """Return the only array, or the list of several."""
    return arrays[0] if len(arrays) == 1 else arrays


def split(x, y, part):
    """Return x and y without the last samples, and those apart, as (x, y)."""
    samples = need_samples(x + y, "x and y")
    count = int(samples * (1 - real_number(part, "validation_split")))
    if not 0 < count < samples:
        raise ShapeError(
            rule="validation_split must leave samples to train on and to evaluate",
            values=f"{part} of {samples} samples",
            fix="Pass a number between 0 and 1",
        )
    held = [array[count:] for array in x], [array[count:] for array in y]
    return [array[:count] for array in x], [array[:count] for array in y], held


class Feed:
    """The inputs and outputs of a model, to which data is brought."""

    def __init__(self, handle):
        self.names = handle.input_names
        self.shapes = [tuple(value.shape) for value in handle.inputs]
        self.outputs = len(handle.outputs)
        names, count = ", ".join(f"'{name}'" for name in self.names), len(self.names)
        self._inputs_rule = f"the model has {count} {'input' if count == 1 else 'inputs'}, {names}"
        outputs = "1 output" if self.outputs == 1 else f"{self.outputs} outputs"
        self._outputs_rule = f"the model has {outputs}"

    def inputs(self, x):
        """Return an array for each input, of an array, a list of them, or a dict by name."""
        if isinstance(x, dict):
            if set(x) != set(self.names):
                raise ShapeError(
                    rule=f"the model's inputs are named {', '.join(self.names)}",
                    values=", ".join(map(str, x)) or "no names",
                )
            x = [x[name] for name in self.names]
        arrays = _arrays(x, "x", self._inputs_rule, len(self.names), len(self.shapes[0]) - 1)
        for name, wanted, array in zip(self.names, self.shapes, arrays):
            _check_shape(name, wanted, array)
        return arrays

    def targets(self, y):
        """Return an array for each output, of an array or a list of them."""
        if isinstance(y, dict):
            raise DTypeError(
                rule="targets are an array, or a list of one for each output, in their order",
                values=f"a dict of {', '.join(map(str, y))}",
            )
        return _arrays(y, "y", self._outputs_rule, self.outputs, 1)


def _is_array(item):
    return len(getattr(item, "shape", None) or ()) > 0


def _arrays(data, what, rule, count, sample_rank):
    """Return `count` arrays of native numbers of a type that we have."""
    several = isinstance(data, (list, tuple)) and (
        any(map(_is_array, data)) or (count > 1 and len(data) == count)
    )
    given = list(data) if several else [data]
    if len(given) != count:
        samples = count == 1 and all(len(np.shape(item)) <= sample_rank for item in given)
        fix = f"One array of all samples: np.stack({what})" if samples else ""
        raise ShapeError(rule=rule, values=shown(data), fix=fix)
    return [_array(item, what) for item in given]


def _array(item, what):
    if type(item) is np.ndarray and item.dtype in _TAKEN:
        return item
    array = item.numpy() if isinstance(item, Tensor) else as_array(item, what)
    if array.dtype in (np.float64, np.float16):
        array = array.astype(np.float32)
    array = as_known_integers(array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _fits(wanted, shape):
    return len(wanted) == len(shape) and all(
        w is None or w == s for w, s in zip(wanted[1:], shape[1:])
    )


def _check_shape(name, wanted, array):
    """Refuse the mistakes that have a known cure; the program tells of the others."""
    shape = array.shape
    if _fits(wanted, shape):
        return
    fix = ""
    if _fits(wanted, (1, *shape)):
        fix = "One sample is a batch of one: x[np.newaxis]"
    elif _fits(wanted, (*shape, 1)):
        fix = "Pictures have a last axis of channels: x[..., np.newaxis]"
    elif len(shape) == 4 and _fits(wanted, (shape[0], *shape[2:], shape[1])):
        fix = "Channels come last: x.transpose(0, 2, 3, 1)"
    if fix:
        sizes = ", ".join("N" if d is None and i == 0 else "?" if d is None else str(d)
                          for i, d in enumerate(wanted))  # fmt: skip
        raise ShapeError(rule=f"input '{name}' takes [{sizes}]", values=str(list(shape)), fix=fix)
