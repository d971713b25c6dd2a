"""Runs what the documents say: the code of README.md and CONTRIBUTING.md, docstrings' examples."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import striate as st

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(st.__file__).parent

# Commands of the documents that are run another way, because of what they take or change. The wheel
# is made, installed and used by `./tools/test python --long`.
ANOTHER_WAY = {
    "./tools/quickstart": ["./tools/quickstart", "--help"],
    "./tools/test": ["./tools/test", "--list"],
    "./tools/test cpp": ["./tools/test", "cpp", "--list"],
    # Of the kernel for CUDA devices, which tests/cuda/contributing_test.py compiles and runs.
    "./tools/test cuda": ["./tools/test", "cuda", "--list"],
    "export STRIATE_TEST_DEVICE=cuda STRIATE_CUDART=build/emulator/libcudart.so.13": ["true"],
    "EMULATOR_CHECKS=full build/bin/striate_tests --gtest_filter='Flip.*'": ["true"],
    "export EMULATOR_COUNTERS=1 EMULATOR_REPORT=flip.jsonl": ["true"],
    "build/bin/striate_tests --gtest_filter='Flip.*'": ["true"],
    "./tools/kernel-report --arch sm_80": [sys.executable, "tools/kernel_report.py", "--help"],
    "./tools/kernel-report --network resnet50 --batch 32": ["true"],
    "./tools/kernel-report --update": ["true"],
    "./tools/verify-gpu --json report.json": ["./tools/verify-gpu", "--help"],
    "./tools/bench --workloads a64,a256,b64,c32,d16,e1 --peer-python PYTHON_WITH_PEERS": [
        sys.executable, "tools/bench.py", "--help",
    ],
    "./tools/bench --workloads a64 --peers torch --busy 1 --peer-python PYTHON_WITH_PEERS": [
        sys.executable, "tools/bench.py", "--busy", "1", "--help",
    ],
    ".venv/bin/python tools/stubs.py": [sys.executable, "tools/stubs.py", "--help"],
    "pip install .": [sys.executable, "-m", "pip", "install", "--help"],
    "pip install '.[view]'": [sys.executable, "-m", "pip", "install", "--help"],
    "pip uninstall --yes striate": [sys.executable, "-m", "pip", "uninstall", "--help"],
    "rm -rf ~/.cache/striate": ["true"],
    "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release": ["cmake", "--list-presets"],
    "cmake --build build -j 2": ["cmake", "--version"],
    "cmake --install build --prefix ~/striate": [
        "cmake", "--install", "{package}", "--prefix", "{scratch}/striate",
        "--component", "library",
    ],
}  # fmt: skip


class Block(NamedTuple):
    """A code block: its language, the file that it shows, its text."""

    language: str
    file: str
    text: str


def blocks(document):
    """Return the code blocks of a document in order."""
    pattern = r"(?:^`([^`\n]+)`:\n\n)?^```(\w*)\n(.*?)^```$"
    found = re.findall(pattern, (ROOT / document).read_text(), re.M | re.S)
    return [Block(language, file, text) for file, language, text in found]


def run(*command, code=0, **options):
    """Run a command that must end with the exit code; return what it printed, errors included."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **options.pop("env", {})}
    if shutil.which("ninja", path=path):
        environment["CMAKE_GENERATOR"] = "Ninja"
    said = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        **options,
    )
    assert said.returncode == code, said.stdout
    return said.stdout


def run_python(given, names):
    """Execute Python blocks in turn; a text block after one is what it must print."""
    said, count = None, 0
    for block in given:
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(block.text, "code block", "exec"), names)
            said, count = stream.getvalue(), count + 1
        elif block.language == "text":
            assert said == block.text
    return count


@pytest.fixture(scope="module")
def cmake_folder():
    return Path(run(sys.executable, "-m", "striate", "--cmake-dir").strip())


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_block_is_run(document):
    found = blocks(document)
    assert len(found) == (ROOT / document).read_text().count("\n```") / 2
    assert {block.language for block in found} <= {"sh", "python", "text", "cpp", "cuda", "cmake"}
    assert all(block.file for block in found if block.language in ("cpp", "cuda", "cmake"))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands(document, cmake_folder, tmp_path):
    ran = 0
    for block in blocks(document):
        if block.language != "sh" or "./build/first" in block.text:
            continue
        for line in block.text.splitlines():
            words = ANOTHER_WAY[line]
            if "{package}" in words and not (cmake_folder / "CMakeCache.txt").exists():
                continue  # a wheel: installed already
            run(*(w.format(package=cmake_folder, scratch=tmp_path) for w in words), cwd=ROOT)
            ran += 1
    assert ran >= 2


def test_readme_python(tmp_path, monkeypatch):
    """The first program, on the first 512 pictures."""
    (x_train, y_train), (x_test, y_test) = st.data.fashion_mnist()
    small = (x_train[:512], y_train[:512]), (x_test[:64], y_test[:64])
    monkeypatch.setattr(st.data, "fashion_mnist", lambda: small)
    monkeypatch.chdir(tmp_path)
    names = {}
    assert run_python(blocks("README.md"), names) == 4
    assert (tmp_path / "history.png").stat().st_size > 1000
    assert names["history"].history["loss"][-1] < names["history"].history["loss"][0]
    assert names["scores"].shape == (5, 10)


def test_readme_cpp(tmp_path):
    """The first program in C++, built and run by the commands beside it."""
    commands = []
    for block in blocks("README.md"):
        if block.language in ("cpp", "cmake"):
            (tmp_path / block.file).write_text(block.text)
        elif "./build/first" in block.text:
            commands.append(block.text)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["CMakeLists.txt", "main.cpp"]
    said = run("bash", "-ec", *commands, cwd=tmp_path)
    assert re.search(r"^accuracy (0\.9[5-9]|1$)", said, re.M)
    model = st.load(tmp_path / "halves.safetensors")
    assert model.predict(np.zeros((1, 12, 12, 1))).shape == (1, 2)


TOY_PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(toy LANGUAGES CXX)
set(CMAKE_CXX_FLAGS "-O0 -Wall -Wextra -Wno-restrict -Werror")
find_package(striate CONFIG REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(GTest REQUIRED)
file(GLOB sources kernels/*.cpp layers/*.cpp)
add_library(toy SHARED ${sources})
target_include_directories(toy PUBLIC include)
target_link_libraries(toy PUBLIC striate::striate OpenMP::OpenMP_CXX)
file(GLOB harness %(tests)s/kernel_*.cpp %(tests)s/entry_limits.cpp)
add_executable(toy_tests tests/flip_test.cpp ${harness})
target_link_options(toy_tests PRIVATE -Wl,--no-as-needed)
target_link_libraries(toy_tests PRIVATE toy GTest::gtest GTest::gtest_main)
"""


def test_contributing_adds_an_operation_in_three_places(tmp_path, cmake_folder):
    """The files of CONTRIBUTING.md, built beside the library; the package knows the layer then."""
    found = blocks("CONTRIBUTING.md")
    for folder in ("kernels", "layers", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / "include" / "striate").mkdir(parents=True, exist_ok=True)
        (tmp_path / "include" / "striate" / folder).symlink_to(tmp_path / folder)
    for header in (ROOT / "tests").glob("*.h"):
        (tmp_path / "tests" / header.name).symlink_to(header)
    for block in found:
        if block.language == "cpp":
            assert re.match(r"(kernels|layers|tests)/flip", block.file)
            assert max(map(len, block.text.splitlines())) <= 100
            (tmp_path / block.file).write_text(block.text)
    (tmp_path / "CMakeLists.txt").write_text(TOY_PROJECT % {"tests": ROOT / "tests"})
    googletest = st.data.cache_folder() / "googletest"
    root = [f"-DGTest_ROOT={googletest}"] if googletest.exists() else []
    build = tmp_path / "build"
    run("cmake", "-S", tmp_path, "-B", build, f"-Dstriate_DIR={cmake_folder}", *root)
    run("cmake", "--build", build, "-j", "2")
    said = run(build / "toy_tests")
    assert "[  PASSED  ] 3 tests." in said and re.search(r"flip +direct +ran +8", said)

    program = f"import ctypes\nctypes.CDLL({str(build / 'libtoy.so')!r})\n"
    program += "".join(block.text for block in found if block.language == "python")
    program += """
model = st.Sequential([st.Input((2, 3, 1)), st.Flip(axis=1), st.Flatten(), st.Dense(2)])
model.save("flip.safetensors")
again = st.load("flip.safetensors")
assert (again.predict(picture) == model.predict(picture)).all()
assert "flip" in st.ops.names() and "axis: 1: upside down" in st.Flip.__doc__
"""
    expected = "".join(block.text for block in found if block.language == "text")
    assert run(sys.executable, "-c", program, cwd=tmp_path) == expected


MODULES = ["striate"] + [
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "striate.")
    if not module.name.endswith(("__main__", "_striate"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_docstrings_have_examples():
    finder = doctest.DocTestFinder()
    found = {name: finder.find(importlib.import_module(name)) for name in MODULES}
    assert sum(1 for tests in found.values() for test in tests if test.examples) >= 10


def test_pictures_and_links_of_the_documents_exist():
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        prose = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            assert target.startswith("https://") or (ROOT / target).exists(), target
    assert (ROOT / "docs" / "sample.png").stat().st_size < 100_000


def test_version_is_in_the_changelog():
    assert f"\n## {st.__version__} " in (ROOT / "CHANGELOG.md").read_text()
    assert (ROOT / "VERSION").read_text().strip() == st.__version__


def test_import_is_light():
    """What only some users need is imported when they use it."""
    code = "import sys, striate; print([m for m in {!r} if m in sys.modules])"
    heavy = ["PIL", "tqdm", "matplotlib", "pandas", "torch", "striate.data", "striate.view"]
    assert run(sys.executable, "-c", code.format(heavy)).strip() == "[]"
