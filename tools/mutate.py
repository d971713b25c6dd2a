"""Change each CUDA kernel at one place and see which test notices.

The emulator makes the change when a kernel is loaded (EMULATOR_MUTANT): a barrier, a wait or a
commit of asynchronous copies is left out, a guard predicate is ignored or negated, an address is
shifted. One run of all tests without a change finds which test executes which place; each mutant is
then given to the tests that execute its place, the quickest first, until one fails.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import random
import resource
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL

from environment import BUILD, Failed, build_cuda, environment, fetch_googletest, run_main, set_up

ENOUGH = 0.95  # share of the mutants that tests must notice
LOG = "mutate.log"  # in the build folder: what the tests say without a change
WATCHDOG = 20_000_000  # warp-instructions of one block; a mutant may loop for ever


@dataclass
class Test:
    """A test case of striate_tests and how long it takes without a change."""

    name: str
    start: float
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
    tests: set[str] = field(default_factory=set)  # that execute the place
    caught_by: str | None = None

    @property
    def id(self) -> str:
        return f"{self.kernel}:{self.kind}:{self.index}"

    def __str__(self) -> str:
        return f"{self.kind:14} {self.file}:{self.line}  {self.ptx}  ({self.kernel})"


class Program:
    """The C++ tests, run over the CUDA kernels under the emulator's full checks."""

    def __init__(self, build: Path, filter: str):
        self.file = build / "bin" / "striate_tests"
        self.filter = filter
        self.variables = environment()
        self.variables.update(
            STRIATE_CUDART=str(build / "emulator" / "libcudart.so.13"),
            STRIATE_TEST_DEVICE="cuda",
            EMULATOR_CHECKS="full",
            OMP_WAIT_POLICY="passive",  # mutants run side by side; waiting must cost nothing
            EMULATOR_WATCHDOG=str(WATCHDOG),
        )

    def run(
        self, filter: str, options: list[str], seconds: float | None, output=DEVNULL, **variables
    ) -> int:
        """Return the exit code; 124 when it took too long."""
        words = [str(self.file), "--gtest_brief=1", f"--gtest_filter={filter}", *options]
        try:
            return subprocess.run(
                words, env={**self.variables, **variables}, timeout=seconds,
                stdout=output, stderr=output,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return 124

    def run_unchanged(self, coverage: Path, report: Path, folder: Path) -> None:
        """Run all tests without a change and write what they execute, and how long they take."""
        for file in (coverage, report):
            file.unlink(missing_ok=True)
        with open(folder / LOG, "w") as log:
            self.run(self.filter, [f"--gtest_output=xml:{report}"], None, log,
                     EMULATOR_COVERAGE=str(coverage))  # fmt: skip
        if not report.exists() or not coverage.exists():
            raise Failed(f"the tests did not run to their end, or launched no kernel: see {LOG}")

    def notices(self, mutant: Mutant, test: Test) -> bool:
        seconds = 30 + 10 * test.seconds
        code = self.run(test.name, ["--gtest_break_on_failure"], seconds, EMULATOR_MUTANT=mutant.id)
        return code != 0


def read_tests(report: Path) -> list[Test]:
    """Read the tests that passed from GoogleTest's report, in the order of their start."""
    tests = []
    for case in xml.parse(report).iter("testcase"):
        if case.find("failure") is not None:
            print(f"   fails without a change, so it judges none: {case.get('name')}")
            continue
        start = datetime.fromisoformat(case.get("timestamp").rstrip("Z")).timestamp()
        name = f"{case.get('classname')}.{case.get('name')}"
        tests.append(Test(name, start, float(case.get("time"))))
    return sorted(tests, key=lambda test: test.start)


def read_mutants(coverage: Path, tests: list[Test]) -> list[Mutant]:
    """Read what the emulator wrote: the places of each kernel, and those each launch executed."""
    starts = [test.start for test in tests]
    places: dict[str, list[Mutant]] = {}
    for line in coverage.read_text().splitlines():
        entry = json.loads(line)
        kernel = entry["kernel"]
        if "places" in entry:
            places.setdefault(kernel, [Mutant(kernel, **place) for place in entry["places"]])
            continue
        at = bisect.bisect_right(starts, entry["time"]) - 1
        # A launch of a test that failed lies after the end of the last one that passed.
        if at < 0 or entry["time"] > tests[at].start + tests[at].seconds + 0.01:
            continue
        for mutant, executed in zip(places[kernel], entry["executed"]):
            if executed == "1":
                mutant.tests.add(tests[at].name)
    return [mutant for kernel in sorted(places) for mutant in places[kernel]]


def judge(program: Program, mutant: Mutant, tests: dict[str, Test]) -> Mutant:
    """Give a mutant to the tests that execute its place, the quickest first."""
    for test in sorted((tests[name] for name in mutant.tests), key=lambda test: test.seconds):
        if program.notices(mutant, test):
            mutant.caught_by = test.name
            break
    print("." if mutant.caught_by else f"\nsurvives: {mutant}", end="", flush=True)
    return mutant


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./tools/mutate",
        description="Change the CUDA kernels one place at a time; say which test notices.",
    )
    parser.add_argument("--sample", type=int, default=0, help="so many mutants (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    parser.add_argument("--json", metavar="FILE", help="write the result to this file")
    parser.add_argument("--tests", default="*", metavar="FILTER", help="GoogleTest filter")
    parser.add_argument("--kernels", default="", metavar="PART", help="only kernels of this name")
    parser.add_argument("--build", type=Path, metavar="DIR", help="take a finished build")
    parser.add_argument("--coverage", type=Path, metavar="FILE",
                        help="what the unchanged tests executed, from an earlier run")  # fmt: skip
    parser.add_argument("--report", type=Path, metavar="FILE", help="that run's report (XML)")
    parser.add_argument("--no-apt", action="store_true", help="never install a system package")
    options = parser.parse_args()
    if bool(options.coverage) != bool(options.report):
        parser.error("--coverage and --report come from one run: give both")

    if not options.build:
        set_up(options.no_apt, extras=("view", "test"))
        fetch_googletest()
        build_cuda("striate_tests")
    build = (options.build or BUILD).resolve()
    program = Program(build, options.tests)
    start = time.monotonic()
    coverage = options.coverage or build / "coverage.jsonl"
    report = options.report or build / "coverage.xml"
    if not options.coverage:
        print("== running the tests unchanged", flush=True)
        program.run_unchanged(coverage, report, build)
    tests = read_tests(report)
    mutants = read_mutants(coverage, tests)
    mutants = [mutant for mutant in mutants if options.kernels in mutant.kernel]
    reached = [mutant for mutant in mutants if mutant.tests and not mutant.equivalent]
    equivalent = sum(bool(mutant.equivalent) for mutant in mutants)
    print(f"   {time.monotonic() - start:.0f} s: {len(mutants)} mutants of "
          f"{len({m.kernel for m in mutants})} kernels, {len(reached)} reached; "
          f"{equivalent} more are equivalent")  # fmt: skip

    if options.sample:
        random.Random(options.seed).shuffle(reached)
        reached = reached[: options.sample]
    print(f"== trying {len(reached)} mutants", flush=True)
    by_name = {test.name: test for test in tests}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = list(pool.map(lambda mutant: judge(program, mutant, by_name), reached))

    survivors = [mutant for mutant in tried if not mutant.caught_by]
    share = 1 - len(survivors) / max(len(tried), 1)
    print(f"\n{len(tried) - len(survivors)} of {len(tried)} mutants caught, {100 * share:.1f} %")
    for mutant in survivors:
        print(f"survives: {mutant}")
    if options.json:
        keep = ("id", "kernel", "kind", "caught_by", "file", "line", "ptx", "equivalent")
        listed = tried + [mutant for mutant in mutants if mutant.equivalent and mutant.tests]
        rows = [{name: getattr(mutant, name) for name in keep} for mutant in listed]
        counts = {"total": len(mutants), "seed": options.seed, "sample": options.sample}
        Path(options.json).write_text(json.dumps({"mutants": rows, **counts}, indent=1) + "\n")
    return 0 if tried and share >= ENOUGH else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    run_main(main)
