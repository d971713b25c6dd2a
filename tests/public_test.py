"""Tests that what is public is documented, its arguments named, and that nothing else shows."""

from __future__ import annotations

import inspect
import re
import types

import numpy as np
import pytest
import striate as st

MODULES = ("data", "kernels", "ops", "view", "zoo")


def members(owner):
    """Return {name: object} of what a module or one of our classes offers."""
    if isinstance(owner, types.ModuleType):
        return {name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")}
    ours = [base for base in reversed(owner.__mro__) if base.__module__.startswith("striate")]
    found = {name: value for base in ours for name, value in vars(base).items()}
    return {n: getattr(v, "__func__", v) for n, v in found.items() if not n.startswith("_")}


def walk(owner, path="st"):
    """Yield (path, object) of all that is public, classes and modules with what is inside."""
    for name, value in members(owner).items():
        if inspect.isroutine(value) or isinstance(value, (type, property, types.ModuleType)):
            yield f"{path}.{name}", value
        if isinstance(value, (type, types.ModuleType)):
            yield from walk(value, f"{path}.{name}")


PUBLIC = dict(walk(st))


def bound_line(value):
    """Return the line that pybind11 writes over a function's docstring, or an empty text."""
    first = (value.__doc__ or "").partition("\n")[0]
    return first if re.match(r"\w+\(.*\) -> ", first) else ""


def parameters(value):
    """Return the names of the parameters of a function or class."""
    if bound_line(value):
        return re.findall(r"(\w+): ", bound_line(value))
    if isinstance(value, (property, types.ModuleType)) or value in (st.Value, st.Variable):
        return []
    if value is st.Tensor:
        return parameters(value.__init__)
    return [p.name for p in inspect.signature(value).parameters.values()]


def test_what_is_walked_is_what_there_is():
    assert len(PUBLIC) > 250
    for path in ("st.Conv2D", "st.Conv2D.freeze", "st.Model.fit", "st.Tensor.shape", "st.seed",
                 "st.ops.conv2d", "st.kernels.use", "st.data.Batches.order", "st.zoo.lenet",
                 "st.view.images", "st.Error", "st.History.load"):  # fmt: skip
        assert path in PUBLIC, path


@pytest.mark.parametrize("module", ["", *MODULES])
def test_a_listing_shows_no_imports(module):
    owner = getattr(st, module) if module else st
    assert dir(owner) == sorted(set(dir(owner)))
    for name in dir(owner):
        value = getattr(owner, name)
        assert not name.startswith("_") or name == "__version__"
        assert not isinstance(value, types.ModuleType) or (not module and name in MODULES), name
        home = getattr(value, "__module__", None) or "striate"
        assert home.startswith("striate"), f"{name} of {home}"


def test_all_is_documented():
    for path, value in PUBLIC.items():
        doc = (value.__doc__ or "").replace(bound_line(value), "").strip()
        assert len(doc.split()) >= 2, f"{path} has no docstring"


def test_all_arguments_have_names_and_are_described():
    undescribed = []
    for path, value in PUBLIC.items():
        if isinstance(value, type) and issubclass(value, st.Error) and value is not st.Error:
            continue  # as their base says
        for name in parameters(value):
            assert not re.fullmatch(r"arg\d+", name), f"{path} has an argument without a name"
            if bound_line(value) or name in ("self", "cls", "args", "kwargs", "inputs"):
                continue  # one sentence says what a bound function takes
            if not re.search(rf"\b{name}\b", value.__doc__):
                undescribed.append(f"{path}: {name}")
    assert not undescribed, "\n".join(undescribed)


def test_bound_functions_take_their_arguments_by_name():
    st.seed(n=0)
    st.set_threads(n=st.threads())
    tensor = st.Tensor(value=[1.0, 2.0]).reshape(shape=[2, 1]).to(device="cpu")
    assert tensor.shape == (2, 1)
    assert set(st.memory_stats()) == {"allocations", "bytes", "peak"}
    layer = st.Dense(2)
    layer(st.Input((1,)))
    layer.weights[0].assign(value=st.Tensor(np.float32([[3, 4]])))
    assert layer.weights[0].value().numpy().tolist() == [[3, 4]]
