"""Named networks with their published parameter counts, at any input size.

>>> import striate as st
>>> st.zoo.lenet().count_params()
61706
"""

from __future__ import annotations

from striate import _striate
from striate.arguments import sizes, whole_number
from striate.model import Model

__all__ = ["names", *_striate.zoo_names()]


def __dir__():
    return sorted(__all__)


def names():
    """Return the networks' names."""
    return _striate.zoo_names()


def _make(name):
    def network(input_shape=None, classes=None):
        shape = () if input_shape is None else sizes(input_shape, "input_shape")
        shape = [whole_number(d, "a size of input_shape", 1) for d in shape]
        count = 0 if classes is None else whole_number(classes, "classes", 1, 2**31)
        return Model._wrap(_striate.zoo_make(name, shape, count))

    network.__name__ = network.__qualname__ = name
    network.__doc__ = f"""Make the network {name}, its weights drawn from the seed.

    Args:
        input_shape: (height, width, channels); by default the published one.
        classes: Size of the last layer; by default the published one.
    """
    return network


for _name in _striate.zoo_names():
    globals()[_name] = _make(_name)
