"""Check and time striate on this machine's GPU: build, tests on the device, layers, training.

Where nothing can be fetched, the machine's own Python, compilers and packages are used. Without a
GPU the same runs under the tests' stand-in for the CUDA runtime, on samples and without times, and
the report's device is "emulator".
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import environment
from environment import BUILD, ROOT, Failed, MustInstall, run_main
from stages import read_report

NEEDED = {"numpy": "numpy", "PIL": "pillow", "tqdm": "tqdm", "pybind11": "pybind11",
          "pytest": "pytest"}  # fmt: skip
TESTS = BUILD / "bin" / "striate_tests"
# What is tried where each kernel takes long: tables, under the emulator and compute-sanitizer.
EMULATED_SAMPLE = (
    "CudaEntries.*:Unary.Every*:Softmax.Every*:Optimizer.Every*:Matmul.Sizes:Pool2d.EveryEntry*:"
    "BatchNorm.EveryEntry*:Conv2d.LectureKernels"
)
SAMPLE = f"{EMULATED_SAMPLE}:Conv2d.Shapes"
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")


class Report:
    """What was checked so far; each check prints a line."""

    def __init__(self):
        self.checks: list[dict] = []

    def check(self, name: str, action) -> bool:
        """Do it and note what became of it: `action` returns (status, detail) or raises."""
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            status, detail = action()
        except MustInstall as missing:
            status, detail = "missing", str(missing)
        except (Failed, subprocess.TimeoutExpired) as failure:
            status, detail = "failed", str(failure)
        seconds = round(time.monotonic() - start, 1)
        self.checks.append({"name": name, "status": status, "seconds": seconds, "detail": detail})
        print(f"   {status}: {detail} ({seconds} s)", flush=True)
        return status == "passed"


# --- setting up -----------------------------------------------------------------------------------


def use_this_python(reason: str) -> str:
    """Go on with the machine's Python and tools, which must have what is needed."""
    missing = [
        package for module, package in NEEDED.items() if not importlib.util.find_spec(module)
    ]
    tools = [tool for tool in ("g++", "cmake") if not shutil.which(tool)]
    if missing or tools:
        raise MustInstall(f"{reason}\nto go on without the network, {', '.join(missing + tools)} "
                          f"must be installed first, for {sys.executable}")  # fmt: skip
    environment.PYTHON = Path(sys.executable)
    os.environ["PYTHONPATH"] = f"{ROOT / 'python'}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    environment.build_library()
    return f"{reason}; the machine's {sys.executable} and its packages are used"


def set_up(system: bool) -> tuple[str, str]:
    """Set up in .venv/ like the other commands, or with what the machine has."""
    if system:
        return "passed", use_this_python("asked for by --system")
    try:
        environment.set_up(extras=("view", "test"))
        return "passed", ".venv/ holds all packages"
    except (Failed, MustInstall) as failure:
        return "passed", use_this_python(f"no packages could be fetched: {failure}")


def has_module(name: str) -> bool:
    return (
        environment.PYTHON.exists()
        and not subprocess.run(
            [environment.PYTHON, "-c", f"import {name}"], capture_output=True
        ).returncode
    )


def build(targets: list[str], *options: str) -> tuple[str, str]:
    nvcc = environment.cuda_compiler()
    environment.configure(BUILD, "-DSTRIATE_CUDA=on", f"-DCMAKE_CUDA_COMPILER={nvcc}", *options)
    environment.compile_targets(BUILD, *targets)
    return "passed", f"{', '.join(targets)} with {nvcc}"


# --- tests ----------------------------------------------------------------------------------------


def run_counted(command: list, report: str, option: str, limit: float) -> tuple[str, str]:
    """Run tests that write a JUnit file; return the status and what became of them."""
    file = BUILD / "reports" / report
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    words = [str(word) for word in [*command, f"{option}{file}"]]
    said = subprocess.run(words, cwd=ROOT, env=environment.environment(), timeout=limit,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    count = read_report(file, words, said.returncode)
    if count.failed:
        print(said.stdout[-4000:])
        return "failed", f"{count}: {'; '.join(count.failed[:5])}"
    return "passed", str(count)


def table_tests(sample: bool) -> tuple[str, str]:
    if not TESTS.exists():
        raise environment.must_install({"GoogleTest": "libgtest-dev"}, "gtest-devel")
    chosen = [f"--gtest_filter={EMULATED_SAMPLE}"] if sample else []
    status, detail = run_counted([TESTS, "--gtest_brief=1", *chosen], "verify-cpp.xml",
                                 "--gtest_output=xml:", 3600)  # fmt: skip
    return status, detail + (" (a sample; ./tools/test cuda runs all)" if sample else "")


def python_tests() -> tuple[str, str]:
    if not has_module("pytest"):
        raise MustInstall(f"pytest must be installed first, for {environment.PYTHON}")
    command = [environment.PYTHON, "-m", "pytest", "-q", "tests/cuda"]
    return run_counted(command, "verify-python.xml", "--junitxml=", 3600)


def sanitizer(tool: str, emulated: bool) -> tuple[str, str]:
    """Run a sample under NVIDIA's checker of memory, races or barriers."""
    found = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if emulated:
        return "skipped", "no GPU; the emulator's full checks ran instead"
    if not Path(found).exists() or not TESTS.exists():
        return "skipped", "compute-sanitizer or GoogleTest is not installed"
    said = subprocess.run(
        [found, "--tool", tool, "--error-exitcode", "9", str(TESTS), f"--gtest_filter={SAMPLE}"],
        capture_output=True, text=True, timeout=3600, env=environment.environment())  # fmt: skip
    summary = re.findall(r"=========.*SUMMARY.*", said.stdout)
    detail = summary[-1].strip("= ") if summary else said.stdout[-300:]
    return ("failed" if said.returncode else "passed"), detail


def measure(report: Report, emulated: bool) -> dict:
    """Time layers and training in a process of their own; return what it found."""
    found: dict = {"layers": [], "training": []}

    def action() -> tuple[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "times.json")
            command = [environment.PYTHON, ROOT / "tools" / "verify_device.py", "--json", file]
            environment.run([*command, *(["--no-times"] if emulated else [])])
            found.update(json.loads(file.read_text()))
        if emulated:
            return "skipped", f"no GPU: {len(found['layers'])} kernels listed without times"
        return "passed", f"{len(found['layers'])} kernels, {len(found['training'])} networks"

    report.check("times of the named layers and of training", action)
    return found


# --- all of it ------------------------------------------------------------------------------------


def verify(options: argparse.Namespace) -> dict:
    report = Report()
    made: dict = {"device": "none", "checks": report.checks, "layers": [], "training": []}
    # What is already set in the environment is the user's choice of a runtime.
    os.environ.setdefault("STRIATE_VERBOSE", "0")
    if not report.check("set-up", lambda: set_up(options.system)):
        return made
    targets = ["striate_cuda"]
    try:
        environment.fetch_googletest()
        targets.append("striate_tests")
    except (Failed, MustInstall) as failure:
        print(f"   without GoogleTest: {failure}")
    if not report.check("build", lambda: build(targets, "-DSTRIATE_TESTS=auto")):
        return made
    made["device"], reason = environment.find_gpu()
    emulated = not made["device"] or made["device"].startswith("emulator")
    if "driver serves" in reason:  # there is a GPU, which the emulator must not hide

        def driver() -> tuple[str, str]:
            raise MustInstall(reason)

        report.check("driver", driver)
    if emulated:
        print(f"no GPU was found ({reason}): the emulator of the tests stands in, nothing is timed")
        made["device"] = "emulator"
        target = ["emulator_runtime"]
        if not report.check(
            "build of the emulator", lambda: build(target, "-DSTRIATE_EMULATOR=ON")
        ):
            return made
        os.environ["STRIATE_CUDART"] = str(environment.EMULATOR)
    print(f"device: {made['device']}")
    os.environ["STRIATE_TEST_DEVICE"] = "cuda"
    if emulated:
        os.environ["EMULATOR_CHECKS"] = "full"
    report.check("tables of all kernels on the device", lambda: table_tests(emulated))
    if emulated:
        os.environ["EMULATOR_CHECKS"] = "bounds"
    report.check("training tests on the device", python_tests)
    for tool in SANITIZERS:
        report.check(f"compute-sanitizer {tool}", lambda tool=tool: sanitizer(tool, emulated))
    made.update(measure(report, emulated))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="./tools/verify-gpu",
                                     description=__doc__.split("\n")[0])  # fmt: skip
    parser.add_argument("--json", type=Path, help="file for the report")
    parser.add_argument("--system", action="store_true",
                        help="use the machine's Python and tools, fetch nothing")  # fmt: skip
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    if options.json:
        options.json = options.json.resolve()
    os.chdir(ROOT)
    made = verify(options)
    made = {"striate": (ROOT / "VERSION").read_text().strip(),
            "measured": time.strftime("%F %T"), **made}  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(made, indent=1) + "\n")
    failed, missing, skipped = (
        [check["name"] for check in made["checks"] if check["status"] == status]
        for status in ("failed", "missing", "skipped")
    )
    print(f"device {made['device']}: {len(made['checks'])} checks, {len(failed)} failed, "
          f"{len(missing)} need something installed, {len(skipped)} skipped"
          f"{': ' + ', '.join(failed + missing) if failed + missing else ''}")  # fmt: skip
    if made["device"] == "emulator":
        print("this was the emulator: run the command on a machine with a GPU for times")
    return 1 if failed else 3 if missing else 0


if __name__ == "__main__":
    run_main(main)
