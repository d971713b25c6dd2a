"""Change each CUDA kernel at one place and see which test notices.

The emulator makes the change: a barrier, a wait or a commit of asynchronous copies is left out, a
guard predicate is ignored or negated, an address is shifted. One run of all tests without a change
finds which launch of which test executes which place. Then each test that reaches mutants runs
again, the quickest first: at the launch that executes a mutant's place the process forks, and the
copy goes on with the mutant until a test fails (tests/emulator/split.h).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import DEVNULL

from environment import BUILD, Failed, build_cuda, environment, fetch_googletest, run_main, set_up
from mutants import Mutant, Survivors, Test, read_mutants, read_tests, sample

ENOUGH = 0.95  # share of the mutants that tests must notice
LARGE = 200  # mutants of a sample whose share stands for that of all
UNLIKELY = 0.05  # that chance alone leaves so many survivors in a small sample
LOG = "mutate.log"  # in the build folder: what the tests say without a change
CONTROLLED = 2  # tests that take fewer seconds try a copy without a change too
WATCHDOG = 2_000_000  # warp-instructions of one block; a mutant may loop for ever


class Program:
    """The C++ tests, run over the CUDA kernels under the emulator's full checks."""

    def __init__(self, build: Path, filter: str):
        self.file = build / "bin" / "striate_tests"
        self.filter = filter
        self.variables = {"STRIATE_TEST_SEED": "1", **environment()}  # the same problems each time
        self.variables.update(
            STRIATE_CUDART=str(build / "emulator" / "libcudart.so.13"),
            STRIATE_TEST_DEVICE="cuda",
            EMULATOR_CHECKS="full",
            EMULATOR_WATCHDOG=str(WATCHDOG),
            OMP_THREAD_LIMIT="1",  # a forked process has one thread
        )

    def run(self, filter: str, options: list[str], output=DEVNULL, **variables) -> int:
        words = [str(self.file), "--gtest_brief=1", f"--gtest_filter={filter}", *options]
        return subprocess.run(
            words, env={**self.variables, **variables}, stdout=output, stderr=output,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        ).returncode  # fmt: skip

    def run_unchanged(self, coverage: Path, report: Path, folder: Path) -> None:
        """Run all tests without a change and write what they execute, and how long they take."""
        for file in (coverage, report):
            file.unlink(missing_ok=True)
        with open(folder / LOG, "w") as log:
            self.run(self.filter, [f"--gtest_output=xml:{report}"], log,
                     EMULATOR_COVERAGE=str(coverage))  # fmt: skip
        if not report.exists() or not coverage.exists():
            raise Failed(f"the tests did not run to their end, or launched no kernel: see {LOG}")

    def try_mutants(self, test: Test, mutants: list[Mutant]) -> dict[str, str]:
        """Run a test with copies that have the mutants; return what became of each copy."""
        limit = 20 + int(5 * test.seconds)  # seconds of processor time
        name = test.name
        trials = [(m.kernel, m.kind, m.index, m.tests[name], limit) for m in mutants]
        if test.seconds < CONTROLLED:
            first = mutants[0]
            trials.insert(0, (first.kernel, "none", 0, first.tests[name], limit))
        with tempfile.TemporaryDirectory() as folder:
            file, tried = Path(folder) / "mutants", Path(folder) / "mutants.tried"
            file.write_text("".join(" ".join(map(str, trial)) + "\n" for trial in trials))
            code = self.run(name, ["--gtest_break_on_failure"], EMULATOR_MUTANTS=str(file))
            lines = tried.read_text().splitlines() if tried.exists() else []
        outcomes = dict(line.rsplit(" ", 1) for line in lines)
        controls = [outcome for id, outcome in outcomes.items() if id.endswith(":none:0")]
        if code != 0 or any(outcome != "0" for outcome in controls):
            raise Failed(f"{name} alone fails without a change ({code}; its copy: {controls})")
        return outcomes


class Trials:
    """Gives mutants to the tests that reach them, the quickest test first, on all processors."""

    def __init__(self, program: Program, tests: list[Test], mutants: list[Mutant],
                 patience: float = math.inf):  # fmt: skip
        self.program = program
        self.patience = patience  # seconds of tests that a mutant may survive
        self.tests = sorted(tests, key=lambda test: test.seconds)
        self.waiting = {test.name: [] for test in tests}  # mutants that a test may still notice
        for mutant in mutants:
            for name in mutant.tests:
                self.waiting[name].append(mutant)
        self.busy: set[str] = set()
        self.change = threading.Condition()

    def take(self) -> tuple[Test, list[Mutant]] | None:
        """Return the quickest test with mutants to try; wait while all of them are being tried."""
        with self.change:
            while True:
                for test in self.tests:
                    most = self.patience - test.seconds
                    waiting = [
                        mutant
                        for mutant in self.waiting[test.name]
                        if not mutant.caught_by and mutant.spent <= most
                    ]
                    free = [mutant for mutant in waiting if mutant.id not in self.busy]
                    self.waiting[test.name] = [m for m in waiting if m.id in self.busy]
                    if free:
                        self.busy.update(mutant.id for mutant in free)
                        return test, free
                if not self.busy:
                    return None
                self.change.wait()

    def work(self) -> None:
        while taken := self.take():
            test, mutants = taken
            try:
                outcomes = self.program.try_mutants(test, mutants)
                for mutant in mutants:
                    outcome = outcomes.get(mutant.id, "0")  # no line: the launch did not come
                    if outcome != "0":
                        mutant.caught_by = test.name
                        mutant.timeout = outcome == "timeout"
                    else:
                        mutant.spent += test.seconds
                caught = sum(bool(mutant.caught_by) for mutant in mutants)
                print(f"   {caught} of {len(mutants)} caught by {test.name}", flush=True)
            finally:
                with self.change:
                    self.busy.difference_update(mutant.id for mutant in mutants)
                    self.change.notify_all()

    def run(self) -> None:
        processors = os.cpu_count() or 1
        with ThreadPoolExecutor(processors) as pool:
            for worker in [pool.submit(self.work) for _ in range(processors)]:
                worker.result()


def report(tried: list[Mutant], is_sample: bool) -> bool:
    """Print what became of the mutants; return whether tests notice enough of them."""
    survivors = [mutant for mutant in tried if not mutant.caught_by]
    late = [mutant for mutant in tried if mutant.timeout]
    share = 1 - len(survivors) / max(len(tried), 1)
    most = most_survivors(len(tried), is_sample)
    print(f"   {len(tried) - len(survivors)} of {len(tried)} mutants caught, {len(late)} of them "
          f"by their time: {100 * share:.1f} %; {len(survivors)} survive, at most {most} of so "
          f"many may for {100 * ENOUGH:.0f} % of all to be caught")  # fmt: skip
    for title, listed in (("took too long", late), ("survives", survivors)):
        for mutant in sorted(listed, key=lambda mutant: mutant.place):
            print(f"{title}: {mutant}")
    return len(survivors) <= most


def most_survivors(tried: int, is_sample: bool) -> int:
    """Return how many mutants may survive.

    A small sample has more survivors than its share by chance. Where tests notice just enough of
    all mutants, more than the returned number are left of such a sample with a probability below
    UNLIKELY.
    """
    if not is_sample or tried >= LARGE:
        return math.floor((1 - ENOUGH) * tried + 1e-9)
    more = 1.0
    for most in range(tried):
        more -= math.comb(tried, most) * (1 - ENOUGH) ** most * ENOUGH ** (tried - most)
        if more < UNLIKELY:
            return most
    return tried


def write_json(file: Path, listed: list[Mutant], **counts) -> None:
    keep = ("id", "kernel", "kind", "caught_by", "timeout", "file", "line", "ptx", "equivalent")
    rows = [{name: getattr(mutant, name) for name in keep} for mutant in listed]
    file.write_text(json.dumps({"mutants": rows, **counts}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./tools/mutate",
        description="Change the CUDA kernels one place at a time; say which test notices.",
    )
    parser.add_argument("--sample", type=int, default=0, help="so many mutants (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    parser.add_argument("--json", metavar="FILE", help="write the result to this file")
    parser.add_argument("--tests", default="*", metavar="FILTER", help="GoogleTest filter")
    parser.add_argument("--only", default="", metavar="PART",
                        help="only of this kernel, kind or file:line")  # fmt: skip
    parser.add_argument("--known", action="store_true",
                        help="try the mutants that are listed as survivors, too")  # fmt: skip
    parser.add_argument("--patience", type=float, default=math.inf, metavar="SECONDS",
                        help="of tests that a mutant may survive (default: all)")  # fmt: skip
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
    xml = options.report or build / "coverage.xml"
    if not options.coverage:
        print("== running the tests unchanged", flush=True)
        program.run_unchanged(coverage, xml, build)
    tests = read_tests(xml)
    known = Survivors()
    mutants = read_mutants(coverage, tests)
    reached = [mutant for mutant in mutants if mutant.reached]
    if not reached:
        raise Failed("the tests reach no mutant")
    by_shape = {mutant.id for mutant in reached if mutant.equivalent}  # see mutate.cpp
    for mutant in reached:
        mutant.equivalent = mutant.equivalent or known.reason(mutant)
    listed = [mutant for mutant in reached if mutant.equivalent]
    share = len(reached) / len(mutants)
    print(f"   {time.monotonic() - start:.0f} s: {len(mutants)} mutants of "
          f"{len({m.kernel for m in mutants})} kernels at {len({m.place for m in mutants})} "
          f"places; tests reach {len(reached)} ({100 * share:.1f} %) at "
          f"{len({m.place for m in reached})}; {len(listed)} are known to survive, "
          f"{len(by_shape)} of them by the shape of their code")  # fmt: skip

    chosen = [m for m in reached if options.only in f"{m.kernel} {m.kind} {m.file}:{m.line} "]
    if not options.known:
        chosen = [mutant for mutant in chosen if not mutant.equivalent]
    if options.sample:
        chosen = sample(chosen, options.sample, options.seed)
    start = time.monotonic()
    drawn = f" drawn with seed {options.seed}" if options.sample else ""
    print(f"== trying {len(chosen)} mutants at {len({m.place for m in chosen})} places{drawn}",
          flush=True)  # fmt: skip
    Trials(program, tests, chosen, options.patience).run()
    print(f"   {time.monotonic() - start:.0f} s")
    unknown = [mutant for mutant in chosen if not mutant.equivalent]
    enough = report(unknown, is_sample=bool(options.sample))
    wrong = [m for m in chosen if m.equivalent and m.caught_by and m.id not in by_shape]
    for mutant in wrong:
        print(f"listed as a survivor, but {mutant.caught_by} notices it: {mutant}")
    if options.json:
        others = [mutant for mutant in listed if mutant not in chosen]
        write_json(Path(options.json), chosen + others, total=len(mutants), reached=len(reached),
                   seed=options.seed, sample=options.sample)  # fmt: skip
    least = known.record["least_reached"]
    if share < least:
        print(f"tests reach {100 * share:.1f} % of the mutants, must be {100 * least:.1f}")
    return 0 if chosen and enough and not wrong and share >= least else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    run_main(main)
