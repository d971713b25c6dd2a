"""Mutants of the CUDA kernels: which there are, which tests reach them, which are known to survive.

A place is a line of a source file and a kind of change. Templates make many kernels of one line, so
a sample takes every place once before it takes one twice.
"""

from __future__ import annotations

import json
import os
import random
import re
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from environment import ROOT, Failed
from machine_code import is_ours

SURVIVORS = ROOT / "tests" / "mutation_survivors.json"


@dataclass
class Test:
    """A test case of striate_tests and how long it takes without a change."""

    name: str
    seconds: float


@dataclass
class Mutant:
    """One change: `index` counts the kernel's places of that kind."""

    kernel: str
    kind: str
    index: int
    file: str
    line: int
    ptx: str
    equivalent: str = ""  # the reason why no test can notice it
    reached: bool = False  # by a test, which may execute the place and yet do nothing else
    tests: dict[str, int] = field(default_factory=dict)  # that may notice it: by which launch
    caught_by: str | None = None
    timeout: bool = False  # it was noticed because it did not end
    spent: float = 0  # seconds of the tests that did not notice it

    @property
    def id(self) -> str:
        return f"{self.kernel}:{self.kind}:{self.index}"

    @property
    def place(self) -> tuple[str, int, str]:
        return self.file, self.line, self.kind

    def __str__(self) -> str:
        return f"{self.kind:14} {self.file}:{self.line}  {self.ptx}  ({self.kernel})"


def source_name(path: str) -> str:
    """Return the name of a source file relative to the root, whatever folder it was built in."""
    parts = Path(os.path.normpath(path)).parts
    for start in range(1 if path.startswith("/") else 0, len(parts)):
        name = Path(*parts[start:])
        if (ROOT / name).is_file():
            return os.path.relpath((ROOT / name).resolve(), ROOT)  # the build links to folders
    return path


def kernel_order(mutant: Mutant) -> tuple:
    """Order kernels by their names, but for what nvcc adds to a name for each build."""
    return re.sub(r"_GLOBAL__N__\w{8}_\d+_(\w+?)_cu_\w{8}_\d+", r"\1", mutant.kernel), mutant.index


def read_tests(report: Path) -> list[Test]:
    """Read GoogleTest's report; all tests must have passed."""
    tests = []
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            raise Failed(f"{name} fails without a change: a mutant cannot be judged by it")
        tests.append(Test(name, float(case.get("time"))))
    return tests


def bits(number: int) -> Iterator[int]:
    """Yield the places of the bits that are set."""
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1


def read_mutants(coverage: Path, tests: list[Test]) -> list[Mutant]:
    """Read the places of each kernel of ours, and those each launch executed."""
    names_of_tests = {test.name for test in tests}
    test = ""  # whose launches follow
    places: dict[str, list[Mutant]] = {}
    launches: Counter[tuple[str, str]] = Counter()  # of a kernel in a test
    seen: dict[tuple[str, str], int] = defaultdict(int)  # places executed so far, as bits
    reached: dict[str, int] = defaultdict(int)
    names: dict[str, str] = {}
    with open(coverage) as lines:
        for entry in map(json.loads, lines):
            test = entry.get("test", test)
            kernel = entry.get("kernel", "")
            if not is_ours(kernel):
                continue
            if "places" in entry:
                made = places.setdefault(kernel, [Mutant(kernel, **p) for p in entry["places"]])
                for mutant in made:
                    file = mutant.file
                    mutant.file = names[file] if file in names else source_name(file)
                    names[file] = mutant.file
                continue
            if test not in names_of_tests or not entry["executed"]:
                continue
            key = (kernel, test)
            launch, launches[key] = launches[key], launches[key] + 1
            digits = entry["executed"][::-1]
            reached[kernel] |= int(digits.replace("2", "1"), 2)
            changed = int(digits.replace("2", "0"), 2)
            for index in bits(changed & ~seen[key]):
                places[kernel][index].tests[test] = launch
            seen[key] |= changed
    for kernel, all_bits in reached.items():
        for index in bits(all_bits):
            places[kernel][index].reached = True
    return sorted((mutant for made in places.values() for mutant in made), key=kernel_order)


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Choose so many mutants, each place once before any is chosen twice."""
    order = random.Random(seed)
    by_place = defaultdict(list)
    for mutant in mutants:
        by_place[mutant.place].append(mutant)
    for same in by_place.values():
        order.shuffle(same)
    chosen: list[Mutant] = []
    while len(chosen) < min(count, len(mutants)):
        rest = [place for place in sorted(by_place) if by_place[place]]
        order.shuffle(rest)
        chosen += [by_place[place].pop() for place in rest[: count - len(chosen)]]
    return chosen


class Survivors:
    """The mutants that are known to change no result, with the reason of each.

    An entry names file, kind and the text of the source line, so that it outlives changes of other
    lines; `ptx` and `kernel`, regular expressions, narrow it to some of the line's instructions and
    kernels, `index` to one of the kernel's places of that kind.
    """

    def __init__(self, file: Path = SURVIVORS, root: Path = ROOT):
        self.record = json.loads(file.read_text())
        self.entries = self.record["survivors"]
        self.root = root
        self.lines: dict[str, list[str]] = {}
        for entry in self.entries:
            if not all(entry.get(key) for key in ("file", "kind", "line", "reason")):
                raise Failed(f"{file.name}: an entry lacks file, kind, line or reason: {entry}")
            if entry["line"] not in self.source(entry["file"]):
                raise Failed(f"{file.name}: {entry['file']} has no line `{entry['line']}` any more")

    def source(self, name: str) -> list[str]:
        """Return the lines of a file of the repository; none for files that are not ours."""
        if name not in self.lines:
            path = self.root / name
            text = path.read_text() if path.is_file() else ""
            self.lines[name] = [line.strip() for line in text.splitlines()]
        return self.lines[name]

    def reason(self, mutant: Mutant) -> str:
        """Return why the mutant changes no result; empty where one is expected to."""
        if mutant.equivalent:
            return mutant.equivalent
        lines = self.source(mutant.file)
        text = lines[mutant.line - 1] if 0 < mutant.line <= len(lines) else ""
        for entry in self.entries:
            same = (mutant.file, mutant.kind, text) == (entry["file"], entry["kind"], entry["line"])
            same = same and entry.get("index", mutant.index) == mutant.index
            if same and all(
                re.search(entry.get(key, ""), getattr(mutant, key)) for key in ("ptx", "kernel")
            ):
                return entry["reason"]
        return ""
