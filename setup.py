"""Builds the wheel and the editable install of striate: the compiling itself is CMake's."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def missing_tools() -> list[str]:
    """Name the PyPI packages to ask for: CMake of 87 MB only where the system's is too old."""
    missing = []
    cmake = shutil.which("cmake")
    if cmake:
        said = subprocess.run([cmake, "--version"], capture_output=True, text=True).stdout
        version = re.search(r"(\d+)\.(\d+)", said)
    if not cmake or not version or tuple(map(int, version.groups())) < (3, 25):
        missing.append("cmake>=3.25")
    if not shutil.which("ninja"):
        missing.append("ninja")
    return missing


def onednn_prefix() -> Path | None:
    """Find the prefix that holds oneDNN's headers; in an isolated build it is not sys.prefix."""
    try:
        files = importlib.metadata.files("onednn-devel-cpu-gomp") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "dnnl-config.cmake":
            return Path(file.locate()).resolve().parents[3]
    return None


class CMakeBuild(build_ext):
    """Compile into build/ and python/striate/ when editable, else install into the wheel's tree."""

    def run(self) -> None:
        import pybind11

        editable = self.editable_mode or self.inplace
        folder = ROOT / "build" if editable else ROOT / "build" / "wheel" / "cmake"
        if not editable and folder.exists():
            shutil.rmtree(folder)  # its cache names tools in an isolated environment that is gone
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            "-DSTRIATE_PYTHON=ON",
        ]  # fmt: skip
        if not editable:
            configure += ["-DSTRIATE_TESTS=OFF", "-DCMAKE_INSTALL_LIBDIR=lib"]
        prefix = onednn_prefix()
        if prefix:
            configure += [f"-DSTRIATE_ONEDNN_ROOT={prefix}"]
        cache = folder / "CMakeCache.txt"
        ninja = shutil.which("ninja")
        if ninja and (not cache.exists() or "CMAKE_GENERATOR:INTERNAL=Ninja" in cache.read_text()):
            configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        subprocess.run(configure, check=True)
        jobs = str(len(os.sched_getaffinity(0)))
        subprocess.run(
            ["cmake", "--build", str(folder), "-j", jobs, "--target", "striate", "_striate"],
            check=True,
        )
        if not editable:
            package = Path(self.build_lib).resolve() / "striate"
            for component in ("library", "python"):
                subprocess.run(
                    ["cmake", "--install", str(folder), "--prefix", str(package),
                     "--component", component, "--strip"],
                    check=True,
                )  # fmt: skip

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


setup(
    ext_modules=[Extension("striate._striate", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    options={"build": {"build_base": "build/wheel"}},
    setup_requires=missing_tools(),
)
