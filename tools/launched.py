"""Which kernels of the CUDA plug-in tests have launched, by what the emulator wrote of them.

EMULATOR_COVERAGE names the file (tests/emulator/coverage.h): a line of JSON for each kernel's first
launch, for each launch, and for each test that begins (tests/coverage_marks.cpp).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from environment import Failed
from machine_code import is_ours, readable


def kernels_of(library: Path) -> set[str]:
    """Return the mangled names of our kernels in a library, from the PTX that it carries."""
    names = re.findall(rb"\.entry (\w+)", library.read_bytes())
    return {name for name in map(bytes.decode, names) if is_ours(name)}


def launched_kernels(coverage: Path) -> set[str]:
    """Return the mangled names of the kernels that were launched while the file was written."""
    with open(coverage) as lines:
        return {entry["kernel"] for entry in map(json.loads, lines) if "kernel" in entry}


def check_all_launched(library: Path, coverage: Path) -> None:
    """Raise Failed with the kernels of the library that no test has launched."""
    kernels = kernels_of(library)
    if not kernels:
        raise Failed(f"{library.name} holds no kernels of ours")
    if not coverage.exists():
        raise Failed(f"no kernel was launched: there is no {coverage.name}")
    missing = sorted(map(readable, kernels - launched_kernels(coverage)))
    print(f"   {len(kernels) - len(missing)} of {len(kernels)} kernels launched under full checks, "
          f"{len(missing)} missing")  # fmt: skip
    if missing:
        raise Failed(f"{len(missing)} kernels are launched by no test: {', '.join(missing)}")
