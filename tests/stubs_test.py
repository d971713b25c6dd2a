"""Tests of the type stubs: current, whole, and of the same signatures as what they describe."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path

import pytest
import striate as st

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "striate"


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "tools" / "stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.stubs()


def defined(text):
    """Return {name: node} of what a stub offers."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            found.update({alias.asname: node for alias in node.names if alias.asname})
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    return found


def test_stubs_are_current(generated):
    stale = [n for n, text in generated.items() if (PACKAGE / n).read_text() != text]
    assert not stale, f"run .venv/bin/python tools/stubs.py; not current: {stale}"
    assert sorted(file.name for file in PACKAGE.glob("*.pyi")) == sorted(generated)
    assert (PACKAGE / "py.typed").exists()


def test_every_public_name_has_a_stub(generated):
    assert set(dir(st)) <= defined(generated["__init__.pyi"]).keys()
    assert {*st.ops.names(), "names", "as_tensor"} == defined(generated["ops.pyi"]).keys()
    assert {*st.zoo.names(), "names"} == defined(generated["zoo.pyi"]).keys()


@pytest.mark.parametrize("name", ["Conv2D", "Dense", "Adam", "OneCycle", "TopKAccuracy"])
def test_constructors_have_the_parameters_of_the_classes(generated, name):
    (method,) = [n for n in defined(generated["__init__.pyi"])[name].body if hasattr(n, "args")]
    given = [a.arg for a in (*method.args.args[1:], *method.args.kwonlyargs)]
    assert given == list(inspect.signature(getattr(st, name)).parameters)
    defaults = [ast.literal_eval(node) for node in method.args.defaults]
    signature = inspect.signature(getattr(st, name)).parameters.values()
    wanted = [
        p.default for p in signature if p.default is not p.empty and p.kind is not p.KEYWORD_ONLY
    ]
    assert defaults == wanted


def test_everything_public_is_documented(generated):
    for file in ("ops.pyi", "zoo.pyi"):
        for name, node in defined(generated[file]).items():
            assert ast.get_docstring(node), f"{file}: {name}"
    public = [n for n in defined(generated["__init__.pyi"]) if not n.startswith("_")]
    for name in public:
        value = getattr(st, name, None) or getattr(st.registered, name)
        if callable(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"striate.{name}"


def test_every_option_is_documented():
    """Each parameter of a registered class is in its help, with its default."""
    for name in dir(st):
        value = getattr(st, name)
        for option in getattr(value, "_schema", {}).get("fields", []):
            assert f"    {option['name']}: {option['doc']}" in value.__doc__, name
            assert option["doc"], f"{name}.{option['name']}"
            if not option["required"]:
                assert f"Default: {option['default']!r}." in value.__doc__, name
