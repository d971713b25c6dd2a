"""Models that are a row of layers, and models from files."""

from __future__ import annotations

import os
import warnings

from striate import _striate
from striate.arguments import file_path, shown
from striate.errors import DTypeError, ShapeError
from striate.model import Model
from striate.registered import Input, RegisteredLayer

Value = _striate.Value


def _check_layer(place, layer):
    """Refuse what is no layer, and what is one only in parentheses."""
    if isinstance(layer, type):
        fix = f"Write {layer.__name__}(...) to make one"
    elif isinstance(layer, Value):
        fix = "Models of several inputs are st.Model(inputs, outputs)"
    elif isinstance(layer, (list, tuple)):
        fix = "Put the layers into one list: [*layers, st.Dense(10)]"
    elif callable(layer):
        return
    else:
        fix = 'Activations are layers too: st.Activation("relu")' if isinstance(layer, str) else ""
    rule = "Sequential takes layers, models, and functions of a symbolic value"
    raise DTypeError(rule=rule, values=f"{shown(layer)} at place {place}", fix=fix)


class Sequential(Model):
    """Layers one after another; the first is `st.Input(shape)`, or has an `input_shape`.

    Args:
        layers: The layers.
        name: Name in summaries and files.

    Raises:
        ShapeError: When the input's shape is not given, or layers do not fit together.

    >>> import striate as st
    >>> model = st.Sequential([st.Input((4,)), st.Dense(3, activation="relu"), st.Dense(1)])
    >>> model.count_params()
    19
    """

    def __init__(self, layers, name="sequential"):
        try:
            layers = list(layers)
        except TypeError:
            rule, fix = "Sequential takes a list of layers", "Write st.Sequential([...])"
            raise DTypeError(rule=rule, values=shown(layers), fix=fix) from None
        if layers and getattr(layers[0], "_input_shape", None) is not None:
            layers.insert(0, Input(layers[0]._input_shape))
        if not layers or not isinstance(layers[0], Value):
            raise ShapeError(
                rule="Sequential begins with an Input",
                values=type(layers[0]).__name__ if layers else "no layers",
                fix="Put st.Input(shape) first",
            )
        for place, layer in enumerate(layers[1:], 1):
            _check_layer(place, layer)
        # Names are given before the layers are applied, so that errors can say which one it was.
        _striate.name_layers([x._handle for x in layers if isinstance(x, RegisteredLayer)])
        x = layers[0]
        for layer in layers[1:]:
            x = layer(x)
        super().__init__(layers[0], x, name)


def load(file):
    """Read a model that `save` wrote.

    A checkpoint's kernels are chosen again where they still can be. What is otherwise than when it
    was written, such as the number of threads, is said by a warning.

    Raises:
        FileError: For a file that is absent, damaged, or holds no model.
    """
    handle = _striate.Model.load(os.fsencode(file_path(file)))
    for difference in handle.resume_differences:
        text = f"training on from {file} will not give the same bits: {difference}"
        warnings.warn(text, stacklevel=2)
    return Model._wrap(handle)
