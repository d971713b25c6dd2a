"""Which kernels of the CUDA plug-in tests have launched, by what the emulator wrote of them.

EMULATOR_COVERAGE names the file (tests/emulator/coverage.h): a line of JSON for each kernel's first
launch, for each launch, and for each test that begins (tests/coverage_marks.cpp). CUB's and
Thrust's kernels count as ours do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from environment import Failed
from machine_code import is_ours, readable

# Kernels that nobody launches: {pattern of the whole name without parameters: reason}.
NEVER_LAUNCHED = {
    r"cub::\w+::detail::EmptyKernel<void>": "CUB asks the runtime for its attributes only, which "
    "say for which architecture the plug-in was compiled",
}


def kernels_of(library: Path) -> set[str]:
    """Return the mangled names of the kernels in a library, from the PTX that it carries."""
    return set(map(bytes.decode, re.findall(rb"\.entry (\w+)", library.read_bytes())))


def is_excused(mangled: str) -> bool:
    return any(re.fullmatch(pattern, readable(mangled)) for pattern in NEVER_LAUNCHED)


def launched_kernels(coverage: Path) -> set[str]:
    """Return the mangled names of the kernels that were launched while the file was written."""
    with open(coverage) as lines:
        return {entry["kernel"] for entry in map(json.loads, lines) if "kernel" in entry}


def check_all_launched(library: Path, coverage: Path) -> None:
    """Raise Failed with the kernels of the library that no test has launched."""
    kernels = kernels_of(library)
    guests = {name for name in kernels if not is_ours(name)}
    if kernels == guests:
        raise Failed(f"{library.name} holds no kernels of ours")
    if not coverage.exists():
        raise Failed(f"no kernel was launched: there is no {coverage.name}")
    excused = set(filter(is_excused, kernels))
    kernels -= excused
    missing = sorted(map(readable, kernels - launched_kernels(coverage)))
    without = ", ".join(sorted(map(readable, excused))) or "none"
    print(f"   {len(kernels) - len(missing)} of {len(kernels)} kernels launched under full checks, "
          f"{len(guests - excused)} of them CUB's and Thrust's; {len(missing)} missing, "
          f"{len(excused)} excused: {without}")  # fmt: skip
    if missing:
        raise Failed(f"{len(missing)} kernels are launched by no test: {', '.join(missing)}")
