"""Write the type stubs of the classes and functions that follow from the C++ registrations.

.venv/bin/python tools/stubs.py [--check]: writes python/striate/*.pyi, or names those not current.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
from pathlib import Path

import striate as st
from striate.registered import Described, RegisteredLayer

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "striate"
HEAD = "# Written by tools/stubs.py from what the library registers.\n"
BINDINGS = ("Tensor", "Value", "Variable", "Optimizer")
FUNCTIONS = ("devices", "memory_stats", "threads")
# The base of layers without options of their own, which is one in the stubs alone.
PLAIN = "_PlainLayer"


def quoted(text: str, indent: str = "    ") -> str:
    """Return a docstring, its long lines broken."""
    lines = []
    for line in inspect.cleandoc(text).split("\n"):
        inner = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(line, 92, subsequent_indent=inner + "    ") or [""]
    body = textwrap.indent("\n".join(lines), indent).strip()
    end = f"\n{indent}" if len(lines) > 1 else ""
    mark = 'r"""' if "\\" in body else '"""'
    return f'{indent}{mark}{body}{end}"""\n'


def parameters(signature: inspect.Signature, inputs: str = "") -> str:
    """Print parameters with their types; those without one get `inputs`."""
    given, starred = [], False
    for parameter in signature.parameters.values():
        kind, text = parameter.annotation, parameter.name
        kind = inputs if kind is inspect.Parameter.empty else kind
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            given.append(f"*{text}: {kind}")
            starred = True
            continue
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            given.append("*")
            starred = True
        if parameter.default is None and "None" not in kind:
            kind = f"{kind} | None"
        default = f" = {parameter.default!r}"
        if parameter.default is inspect.Parameter.empty:
            default = ""
        given.append(f"{text}: {kind}{default}")
    return ", ".join(given)


def function(name: str, given: str, result: str, doc: str, indent: str = "") -> str:
    """Print one function, broken over lines where it is long."""
    line = f"{indent}def {name}({given}) -> {result}:\n"
    if len(line) > 100:
        rows = "".join(f"{indent}    {word},\n" for word in re.split(r", (?![^\[]*\])", given))
        line = f"{indent}def {name}(\n{rows}{indent}) -> {result}:\n"
    if not doc:
        return line.rstrip() + " ...\n"
    return line + quoted(doc, indent + "    ")


def registered(made: type, base: str) -> str:
    """Print a class made from a registration."""
    if issubclass(made, RegisteredLayer) and not made._schema["fields"]:
        return f"\nclass {made.__name__}({PLAIN}):\n{quoted(made._schema['doc'])}"
    given = parameters(made.__signature__)
    method = function("__init__", f"self, {given}" if given else "self", "None", "", "    ")
    return f"\nclass {made.__name__}({base}):\n{quoted(made.__doc__)}\n{method}"


def package() -> str:
    """Print striate/__init__.pyi."""
    text = HEAD + "from collections.abc import Sequence\n\n"
    text += "from striate import data as data, kernels as kernels, ops as ops, view as view\n"
    text += "from striate import zoo as zoo\n"
    sources = {"striate._striate": [*BINDINGS[:3], *FUNCTIONS], "striate.history": ["History"]}
    classes = []
    for name in sorted(dir(st)):
        value = getattr(st, name)
        if isinstance(value, type) and value.__module__ == "striate":
            base = "RegisteredLayer" if issubclass(value, RegisteredLayer) else "Described"
            if issubclass(value, (RegisteredLayer, Described)):
                classes.append((value, base))
        elif str(getattr(value, "__module__", "")).startswith("striate."):
            sources.setdefault(value.__module__, []).append(name)
    sources["striate.registered"] += ["Described", "RegisteredLayer"]
    for module, names in sorted(sources.items()):
        rows = "".join(f"    {name} as {name},\n" for name in sorted(set(names)))
        text += f"from {module} import (\n{rows})\n"
    text += "\n__version__: str\n"
    plain = [made for made, base in classes if base != "Described" and not made._schema["fields"]]
    text += f"\nclass {PLAIN}(RegisteredLayer):\n"
    given = parameters(plain[0].__signature__)
    text += function("__init__", f"self, {given}", "None", "", "    ")
    return text + "".join(registered(made, base) for made, base in classes)


def clean(signature: str) -> str:
    """Turn pybind11's line into Python's."""
    text = signature.replace("striate._striate.", "")
    text = text.replace("typing.SupportsInt | typing.SupportsIndex", "int")
    text = text.replace("typing.SupportsFloat | typing.SupportsIndex", "float")
    text = re.sub(r"self: \w+", "self", text.replace("arg0: ", "value: "))
    return text.replace("collections.abc.", "").replace("typing.", "")


def bound(name: str, doc: str, indent: str) -> str:
    """Print a function of the compiled module from the first line of its doc."""
    first, _, rest = doc.partition("\n")
    given, result = re.fullmatch(r"\w+\((.*)\) -> (.*)", clean(first)).groups()
    if name == "__eq__":  # the type of object.__eq__; others than its own are unequal
        given = "self, value: object"
    return function(name, given, result, rest.strip(), indent)


def bindings() -> str:
    """Print striate/_striate.pyi: what of the compiled module users meet."""
    text = HEAD + "from typing import Any\n\nimport numpy\n"
    for class_name in BINDINGS:
        made = getattr(st._striate, class_name)
        text += f"\nclass {class_name}:\n" + (quoted(made.__doc__) if made.__doc__ else "")
        for name, member in sorted(vars(made).items()):
            doc = getattr(member, "__doc__", None) or ""
            if isinstance(member, property):
                result = clean(member.fget.__doc__).strip().rpartition("-> ")[2]
                text += f"    @property\n    def {name}(self) -> {result}: ...\n"
            elif inspect.isfunction(member):  # an operator: striate/operators.py sets them
                if member.__name__ == "operator":
                    count = len(inspect.signature(member).parameters)
                    given = "self, other: Any" if count == 2 else "self"
                    result = "Any" if name in ("__eq__", "__ne__") else class_name
                    text += f"    def {name}({given}) -> {result}: ...\n"
            elif doc.startswith(f"{name}("):
                text += bound(name, doc, "    ")
    for name in FUNCTIONS:
        text += "\n" + bound(name, getattr(st, name).__doc__, "")
    return text + "\ndef __getattr__(name: str) -> Any: ...\n"


def operations() -> str:
    """Print striate/ops.pyi."""
    text = HEAD + "from collections.abc import Sequence\nfrom typing import Any\n\n"
    text += "from striate._striate import Tensor\n\n"
    text += "def names() -> list[str]:\n" + quoted(st.ops.names.__doc__)
    given = "value: Any, dtype: str | None = None"
    text += "\n" + function("as_tensor", given, "Tensor", st.ops.as_tensor.__doc__)
    for name in sorted(st.ops.names()):
        made = getattr(st.ops, name)
        given = parameters(made.__signature__, "Any")
        text += "\n" + function(name, given, "Any", made.__doc__)
    return text


def networks() -> str:
    """Print striate/zoo.pyi."""
    text = HEAD + "from collections.abc import Sequence\n\nfrom striate.model import Model\n\n"
    text += "def names() -> list[str]:\n" + quoted(st.zoo.names.__doc__)
    given = "input_shape: Sequence[int] | None = None, classes: int | None = None"
    for name in sorted(st.zoo.names()):
        text += "\n" + function(name, given, "Model", getattr(st.zoo, name).__doc__)
    return text


def stubs() -> dict[str, str]:
    """Return the stubs as {file name: text}."""
    return {
        "__init__.pyi": package(),
        "_striate.pyi": bindings(),
        "ops.pyi": operations(),
        "zoo.pyi": networks(),
    }


def main() -> int:
    """Write the stubs; with --check write nothing and return 1 when one is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    stale = []
    for name, text in stubs().items():
        file = PACKAGE / name
        if not file.exists() or file.read_text() != text:
            stale.append(name)
            if not options.check:
                file.write_text(text)
    for name in stale:
        print(f"{'is not current' if options.check else 'written'}: python/striate/{name}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
