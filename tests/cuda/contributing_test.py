"""The CUDA kernel of CONTRIBUTING.md, compiled as it stands there and run on the device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import cubins  # noqa: E402

PROGRAM = """
import ctypes, sys
import numpy as np
import striate as st

st.devices()  # the plug-in is loaded first
for library in sys.argv[1:]:
    ctypes.CDLL(library)
random = np.random.default_rng(0)
for shape in [(1, 1, 1, 1), (2, 5, 7, 3), (3, 4, 4, 16)]:
    x = random.standard_normal(shape, dtype=np.float32)
    for axis in (1, 2):
        found = st.ops.flip(st.Tensor(x).to("cuda"), axis=axis)
        assert found.device == "cuda:0"
        np.testing.assert_array_equal(found.numpy(), np.flip(x, axis))
print([row["name"] for row in st.kernels.list("flip", "cuda")])
"""


def run(command, **options) -> str:
    words = [str(word) for word in command]
    said = subprocess.run(words, capture_output=True, text=True, **options)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


@pytest.fixture(scope="module")
def libraries(tmp_path_factory) -> list[Path]:
    """Build the operation and its kernel beside the library; reuse the plug-in's host objects."""
    build = Path(run([sys.executable, "-m", "striate", "--cmake-dir"]).strip())
    folder = tmp_path_factory.mktemp("flip")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for language in ("cpp", "cuda"):
        block = rf"^`([^`\n]+)`:\n\n```{language}\n(.*?)^```$"
        for name, code in re.findall(block, text, re.M | re.S):
            file = folder / "striate" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
    sources = [*folder.glob("striate/kernels/*.cpp"), *folder.glob("striate/layers/*.cpp")]
    assert len(sources) == 3
    compiler = ["g++", "-std=c++20", "-O1", "-fPIC", "-shared", "-fopenmp", "-Wno-restrict"]
    include = [f"-I{folder}", f"-I{build / 'include'}"]
    library = [f"-L{build / 'lib'}", "-lstriate", f"-Wl,-rpath,{build / 'lib'}"]
    toy, kernel = folder / "libtoy.so", folder / "libtoy_cuda.so"
    run([*compiler, *include, *sources, "-o", toy, *library])

    words = cubins.compile_commands(build)["unary.cu"]
    words[words.index("-c") + 1] = str(folder / "striate/kernels/flip.cu")
    words[words.index("-o") + 1] = str(folder / "flip.o")
    run([*words, f"-I{folder}"], cwd=build)
    host = build / "CMakeFiles/striate_cuda.dir/kernels/cuda"
    objects = [host / f"{name}.cpp.o" for name in ("entry", "launch", "runtime", "status")]
    run([*compiler, folder / "flip.o", *objects, "-o", kernel, *library, "-ldl"])
    return [toy, kernel]


def test_the_kernel_mirrors_images_on_the_device(libraries, tmp_path):
    variables = {**os.environ, "EMULATOR_CHECKS": "full", "EMULATOR_COUNTERS": "1",
                 "EMULATOR_REPORT": str(tmp_path / "flip.jsonl")}  # fmt: skip
    said = run([sys.executable, "-c", PROGRAM, *libraries], env=variables)
    assert said.strip() == "['direct']"
    if "STRIATE_CUDART" not in os.environ:
        return  # on a GPU nothing is counted
    launches = [json.loads(line) for line in (tmp_path / "flip.jsonl").read_text().splitlines()]
    assert sum("flip_kernel" in launch["kernel"] for launch in launches) == 6
