"""The stages of ./tools/test: each runs its tests and counts what became of them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from environment import (
    BUILD,
    EMULATOR,
    PYTHON,
    ROOT,
    VENV,
    Failed,
    build_cuda,
    compile_targets,
    configure,
    cuda_compiler,
    environment,
    fetch_googletest,
    run,
    run_main,
    set_up,
    stage,
)
from launched import check_all_launched

REPORTS = BUILD / "reports"
ACCEPTED_SKIP = "no real GPU"
MUTANTS, PATIENCE = 40, 30  # of a sample; seconds of tests that each may survive


@dataclass
class Count:
    """What became of tests; the lists hold one line each for those that did not pass."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def read_report(file: Path, command: list, code: int) -> Count:
    """Count the test cases in a JUnit file, as GoogleTest and pytest write them."""
    count = Count()
    cases = list(xml.parse(file).iter("testcase")) if file.exists() else []
    for case in cases:
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if skipped is None and case.get("status") == "notrun":  # DISABLED_ in GoogleTest
            skipped = case
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed.append(name)
        elif skipped is None:
            count.passed += 1
        else:
            reason = skipped.get("message") or "no reason given"
            if ACCEPTED_SKIP in reason:
                count.skipped.append(f"{name}: {ACCEPTED_SKIP}")
            else:
                # A test that does not run is no test that passed: something is not installed.
                count.failed.append(f"{name}: skipped without excuse: {reason}")
    if not cases or (code != 0 and not count.failed):
        count.failed.append(f"{command[0]} ended with exit code {code} and {len(cases)} results")
    return count


@contextmanager
def emulated(runtime: Path, checks: str, **settings):
    """Let the tests that run meanwhile take the emulator as their device, with these checks."""
    before = dict(os.environ)
    settings.update(STRIATE_CUDART=runtime, STRIATE_TEST_DEVICE="cuda", EMULATOR_CHECKS=checks)
    os.environ.update({name: str(value) for name, value in settings.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_reported(command: list, report: str, option: str, long: bool) -> Count:
    """Run a test program that writes a JUnit file and count what it says."""
    file = REPORTS / report
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    words = [str(word) for word in [*command, f"{option}{file}"]]
    variables = environment()
    if long:
        variables["STRIATE_LONG"] = "1"
    code = subprocess.call(words, cwd=ROOT, env=variables)
    return read_report(file, words, code)


def run_in_halves(program: Path, report: Path, coverage: Path, long: bool) -> Count:
    """Run half of the tests beside the other half; join the reports and what was executed.

    Most launches are too small for an emulator to use two threads.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    log = report.with_suffix(".log")
    runs = []
    with log.open("w") as stream:
        for half, output in ((0, None), (1, stream)):
            file, executed = (path.with_name(f"half-{half}-{path.name}")
                              for path in (report, coverage))  # fmt: skip
            file.unlink(missing_ok=True)
            executed.unlink(missing_ok=True)
            words = [str(program), "--gtest_brief=1", f"--gtest_output=xml:{file}"]
            variables = {**environment(), "EMULATOR_COVERAGE": str(executed),
                         "GTEST_TOTAL_SHARDS": "2", "GTEST_SHARD_INDEX": str(half)}  # fmt: skip
            if long:
                variables["STRIATE_LONG"] = "1"
            process = subprocess.Popen(words, cwd=ROOT, env=variables, stdout=output, stderr=output)
            runs.append((process, words, file, executed))
        codes = [process.wait() for process, *_ in runs]
    print(log.read_text(errors="replace"), end="")
    count, suites = Count(), xml.Element("testsuites")
    with coverage.open("wb") as joined:
        for code, (_, words, file, executed) in zip(codes, runs):
            count.add(read_report(file, words, code))
            if file.exists() and executed.exists():
                suites.extend(xml.parse(file).getroot())
                with executed.open("rb") as part:
                    shutil.copyfileobj(part, joined)
    xml.ElementTree(suites).write(report)
    return count


def check(name: str, action) -> Count:
    """Count an action as one test that fails when it raises Failed."""
    try:
        action()
    except Failed as failure:
        return Count(failed=[f"{name}: {failure}"])
    return Count(passed=1)


def seeds() -> dict[str, str]:
    """Draw and print the seeds of random problems and of the order of blocks and warps.

    They are new each time, unless the environment gives those of a run to repeat.
    """
    now = str(int(time.time()))
    chosen = {name: os.environ.get(name, now) for name in ("STRIATE_TEST_SEED", "EMULATOR_SEED")}
    print("   seeds: " + " ".join(f"{name}={seed}" for name, seed in chosen.items()))
    return chosen


# --- the stages -----------------------------------------------------------------------------------


def googletests(folder: Path, long: bool, *options: str) -> Count:
    """Build the C++ tests in a folder and run them."""
    with stage(f"compiling the C++ tests in {folder.relative_to(ROOT)}/"):
        configure(folder, "-DSTRIATE_TESTS=ON", *options)
        compile_targets(folder, "striate_tests")
    with stage("running the C++ tests"):
        return run_reported([folder / "bin" / "striate_tests", "--gtest_brief=1"],
                            f"{folder.name}.xml", "--gtest_output=xml:", long)  # fmt: skip


def cpp(long: bool) -> Count:
    """C++ tests (GoogleTest); --long: also under ASan, under UBSan and without oneDNN"""
    fetch_googletest()
    count = googletests(BUILD, long)
    if long:
        no_python = "-DSTRIATE_PYTHON=OFF"
        debug = "-DCMAKE_BUILD_TYPE=RelWithDebInfo"
        for name, options in {
            "asan": [debug, "-DSTRIATE_SANITIZE=address"],
            "ubsan": [debug, "-DSTRIATE_SANITIZE=undefined"],
            "own-kernels": ["-DSTRIATE_ONEDNN=OFF"],
        }.items():
            count.add(googletests(BUILD / name, False, no_python, *options))
    return count


def python(long: bool) -> Count:
    """Python tests (pytest), with the outside C++ project; --long: also the wheel"""
    with stage("running the Python tests"):
        count = run_reported([PYTHON, "-m", "pytest", "-q"], "python.xml", "--junitxml=", long)
    if long:
        with stage("building the wheel and installing it offline"):
            count.add(check("wheel", wheel))
    return count


def wheel() -> None:
    """Build the wheel, install it offline in a place of its own, use it from Python and C++."""
    dist, venv = BUILD / "dist", BUILD / "wheel-venv"
    shutil.rmtree(dist, ignore_errors=True)
    run([PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", dist, ROOT])
    (file,) = dist.glob("striate-*.whl")
    if file.stat().st_size > 30e6:
        raise Failed(f"{file.name} has {file.stat().st_size / 1e6:.1f} MB, more than 30")
    run([PYTHON, "-m", "venv", "--clear", venv])
    wheel_python = venv / "bin" / "python"
    run([wheel_python, "-m", "pip", "install", "--no-index", "--no-deps", file])
    # numpy and the like are borrowed from .venv/: what lies there comes after the installed wheel.
    (ours,) = VENV.glob("lib/python3*/site-packages")
    (theirs,) = venv.glob("lib/python3*/site-packages")
    (theirs / "borrowed.pth").write_text(f"{ours}\n")
    code = "import striate as st; print(st.__file__, st.ops.relu(st.Tensor([-1.0, 2.0])).numpy())"
    said = run([wheel_python, "-c", code], cwd=venv)
    if str(theirs) not in said or "[0. 2.]" not in said:
        raise Failed(f"the installed wheel said {said}")
    package = run([wheel_python, "-m", "striate", "--cmake-dir"], cwd=venv).strip()
    outside = BUILD / "wheel-embedding"
    run(["cmake", "-S", ROOT / "tests/embedding", "-B", outside, f"-Dstriate_DIR={package}"])
    run(["cmake", "--build", outside])


def other_capability(number: int, drawn: dict[str, str]) -> Count:
    """Build the plug-in for one architecture and run its kernels on an emulator of it."""
    folder = BUILD / f"cuda-{number}"
    nvcc = cuda_compiler()
    with stage(f"compiling the CUDA plug-in for compute capability {number / 10}"):
        configure(folder, "-DSTRIATE_CUDA=on", "-DSTRIATE_EMULATOR=ON", "-DSTRIATE_PYTHON=OFF",
                  "-DSTRIATE_TESTS=ON", f"-DSTRIATE_CUDA_ARCHITECTURES={number}",
                  f"-DCMAKE_CUDA_COMPILER={nvcc}")  # fmt: skip
        compile_targets(folder, "striate_cuda", "emulator_runtime", "striate_tests")
    runtime = folder / "emulator" / EMULATOR.name
    settings = emulated(runtime, "full", EMULATOR_CAPABILITY=number / 10, **drawn)
    with stage(f"running its kernels on compute capability {number / 10}"), settings:
        return run_reported([folder / "bin" / "striate_tests", "--gtest_brief=1"],
                            f"cuda-{number}.xml", "--gtest_output=xml:", False)  # fmt: skip


def train_both_ways() -> None:
    """Train LeNet on real pictures; graphs and single launches must give the same bytes."""
    command = [PYTHON, ROOT / "tools" / "train_emulated.py", "--steps", 300]
    weights = []
    for graphs in (1, 0):
        file = REPORTS / f"train-{graphs}.json"
        with emulated(EMULATOR, "bounds", STRIATE_CUDA_GRAPHS=graphs):
            run([*command, "--least-accuracy", 0.7, "--json", file], quiet=False)
        weights.append(json.loads(file.read_text())["weights"])
    if weights[0] != weights[1]:
        raise Failed("graphs and single launches made different weights")


def cuda(long: bool) -> Count:
    """CUDA kernels, executed and checked by the emulator; --long: other compute capabilities too"""
    fetch_googletest()
    build_cuda("emulator_test", "striate_tests")
    with stage("running the emulator's own tests"):
        count = run_reported([BUILD / "bin" / "emulator_test", "--gtest_brief=1"],
                             "emulator.xml", "--gtest_output=xml:", long)  # fmt: skip
    report = [PYTHON, ROOT / "tools" / "kernel_report.py", "--quiet"]
    with stage("registers, spills and main loops of every CUDA kernel for sm_80 and sm_90"):
        count.add(check("kernel-report", lambda: run(report)))
    coverage, said = REPORTS / "cuda-coverage.jsonl", REPORTS / "cuda.xml"
    drawn = seeds()  # the tests that run with mutants take the same
    settings = emulated(EMULATOR, "full", **drawn)
    with stage("running every CUDA kernel under the emulator's checks"), settings:
        count.add(run_in_halves(BUILD / "bin" / "striate_tests", said, coverage, long))
    library = BUILD / "lib" / "libstriate_cuda.so"
    count.add(check("launched", lambda: check_all_launched(library, coverage)))
    same = {**drawn, "STRIATE_LONG": "1"} if long else drawn
    # fmt: off
    mutate = [PYTHON, ROOT / "tools" / "mutate.py", "--build", BUILD, "--patience", PATIENCE,
              "--coverage", coverage, "--report", said,
              "--seed", drawn["STRIATE_TEST_SEED"],
              "--sample", 10 * MUTANTS if long else MUTANTS, *(["--known"] if long else [])]
    # fmt: on
    settings = emulated(EMULATOR, "full", **same)
    with stage("running tests of CUDA kernels with a mistake in each"), settings:
        count.add(check("mutate", lambda: run(mutate, quiet=False)))
    with stage("training on device cuda under the emulator"), emulated(EMULATOR, "bounds"):
        count.add(run_reported([PYTHON, "-m", "pytest", "-q", "tests/cuda"], "cuda-python.xml",
                               "--junitxml=", long))  # fmt: skip
    if long:
        with stage("training 300 steps as graphs and again by single launches"):
            count.add(check("train_emulated", train_both_ways))
    for number in (75, 90) if long else ():
        count.add(other_capability(number, drawn))
    return count


def vendor(long: bool) -> Count:
    """cuDNN, cuBLASLt and NCCL as guests (none in this version)"""
    print("   holds no tests yet in this version")
    return Count()


def data(long: bool) -> Count:
    """Fashion-MNIST is there, as published; --long: training by Winograd's transforms on it"""
    call = "import striate; (x, y), (u, v) = striate.data.fashion_mnist(); print(len(x), len(u))"
    with stage("reading Fashion-MNIST"):

        def read() -> None:
            said = run([PYTHON, "-c", call])
            if said.split() != ["60000", "10000"]:
                raise Failed(f"unexpected sizes: {said}")

        count = check("fashion_mnist", read)
    if long:
        with stage("training with three seeds by direct sums, F(2x2,3x3) and F(4x4,3x3)"):
            study = [PYTHON, ROOT / "tools" / "transform_study.py"]
            count.add(check("transform_study", lambda: run(study, quiet=False)))
    return count


STAGES = {function.__name__: function for function in (cpp, python, cuda, vendor, data)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./tools/test", description="Run the tests of striate.")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=" ".join(STAGES))
    parser.add_argument("--long", action="store_true", help="what is too slow for every commit")
    parser.add_argument("--list", action="store_true", help="say what the stages are, run nothing")
    parser.add_argument("--no-cuda", action="store_true", help="leave out cuda and vendor")
    parser.add_argument("--no-apt", action="store_true", help="never install a system package")
    options = parser.parse_args()
    for name in options.stages:
        if name not in STAGES:
            parser.error(f"no stage '{name}', there are: {' '.join(STAGES)}")
    if options.list:
        for name, function in STAGES.items():
            print(f"{name:8}{function.__doc__}")
        return 0

    total = Count()
    try:
        set_up(options.no_apt, extras=("view", "test"))
        for name in options.stages or STAGES:
            print(f"== stage {name}", flush=True)
            if options.no_cuda and name in ("cuda", "vendor"):
                total.skipped.append(f"stage {name}: switched off by --no-cuda")
                continue
            count = STAGES[name](options.long)
            print(f"   {name}: {count}", flush=True)
            total.add(count)
    except Failed as failure:
        total.failed.append(str(failure))
    for kind, lines in (("skipped", total.skipped), ("failed", total.failed)):
        for line in lines:
            print(f"{kind}: {line}")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    os.chdir(ROOT)
    run_main(main)
