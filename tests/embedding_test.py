"""Tests of the outside C++ project in tests/embedding/ and of its twin in Python."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import striate as st
from PIL import Image

PROJECT = Path(__file__).parent / "embedding"


def run(*command, code=0, **options):
    """Run a command that must end with the exit code; return what it printed, errors included."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Install the library, move the installation, and build the project against it."""
    folder = tmp_path_factory.mktemp("embedding")
    package = Path(run(sys.executable, "-m", "striate", "--cmake-dir").strip())
    if (package / "CMakeCache.txt").exists():
        run("cmake", "--install", package, "--prefix", folder / "first", "--component", "library")
        (folder / "first").rename(folder / "moved")
        (config,) = (folder / "moved").glob("lib*/**/striateConfig.cmake")
        package = config.parent
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    build = folder / "build"
    run("cmake", "-S", PROJECT, "-B", build, f"-Dstriate_DIR={package}", *generator,
        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON")  # fmt: skip
    run("cmake", "--build", build, "-j", "2")
    return build


@pytest.fixture(scope="module")
def data():
    """The folder that Fashion-MNIST lies in."""
    st.data.fashion_mnist()
    return importlib.import_module("striate.data.fashion_mnist")._find()


@pytest.fixture(scope="module")
def trained(built, data):
    """A model trained for some steps in C++."""
    options = ["--data", data, "--seed", "1", "--steps", "200", "--out", built / "cpp.safetensors"]
    last = run(built / "train", *options).splitlines()[-1]
    assert float(last.split()[3].rstrip(",")) < 1.0
    return built / "cpp.safetensors"


@pytest.fixture(scope="module")
def picture(built, data):
    """The first test picture, an ankle boot, as a PGM file."""
    pixels = st.data.read_idx(data / "t10k-images-idx3-ubyte.gz")[0]
    Image.fromarray(pixels).save(built / "boot.pgm")
    return built / "boot.pgm"


def test_cpp_and_python_write_the_same_bytes(built, data, trained):
    twin = built / "python.safetensors"
    options = ["--data", data, "--seed", "1", "--steps", "200", "--out", twin]
    run(sys.executable, PROJECT / "twin.py", "train", *options)
    assert twin.read_bytes() == trained.read_bytes()


def test_cpp_and_python_fit_alike(built, data):
    options = ["--data", data, "--seed", "4", "--epochs", "2", "--out"]
    said = run(built / "train", *options, built / "fit_cpp.safetensors")
    assert said == run(sys.executable, PROJECT / "twin.py", "train", *options,
                       built / "fit_python.safetensors")  # fmt: skip
    assert len(said.splitlines()) == 2
    files = [(built / f"fit_{name}.safetensors").read_bytes() for name in ("cpp", "python")]
    assert files[0] == files[1]


def test_another_seed_gives_another_model(built, data):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        files.append(built / f"{name}.safetensors")
        run(built / "train", "--data", data, "--seed", seed, "--steps", "2", "--out", files[-1])
    first, again, other = (file.read_bytes() for file in files)
    assert first == again
    assert first != other


def test_cpp_and_python_predict_the_same(built, trained, picture):
    said = run(built / "predict", trained, picture)
    assert said == run(sys.executable, PROJECT / "twin.py", "predict", trained, picture)
    scores = np.array(said.split()[2:], dtype=np.float32)
    expected = st.load(trained).predict(np.asarray(Image.open(picture))[None, :, :, None])[0]
    assert scores.tobytes() == expected.tobytes()


def test_threads_predict_the_same(built, trained, picture):
    assert run(built / "predict", trained, picture, 4) == run(built / "predict", trained, picture)


def test_no_python_is_linked(built):
    needed = run("ldd", built / "train")
    assert "libstriate.so" in needed and "not found" not in needed
    assert "python" not in needed


@pytest.mark.parametrize(
    "words, text",
    [
        (["predict", "absent.safetensors", "{picture}"], "absent.safetensors"),
        (["predict", "{picture}", "{picture}"], "is not a safetensors file"),
        (["predict", "{model}", "{model}"], "must be a binary PGM"),
        (["predict", "{model}", "{small}"], "[N, 28, 28, 1]"),
        (["train", "--data", "absent", "--out", "x"], "must be a gzipped IDX file"),
    ],
)
def test_errors_are_exceptions_that_say_what_is_wrong(built, trained, picture, words, text):
    small = built / "small.pgm"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(small)
    program, *rest = (word.format(picture=picture, model=trained, small=small) for word in words)
    assert text in run(built / program, *rest, code=1)
