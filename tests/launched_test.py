"""Tests of the list of CUDA kernels that the tests launch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from environment import Failed
from launched import check_all_launched, kernels_of

ONE, TWO = "_ZN7striate4cuda10one_kernelIfEEvv", "_ZN7striate4cuda10two_kernelIfEEvv"


@pytest.fixture
def library(tmp_path) -> Path:
    file = tmp_path / "library.so"
    entries = "".join(f".visible .entry {name}(\n)\n{{\n}}\n" for name in (ONE, TWO, "_ZN3cub1k"))
    file.write_bytes(b"\x7fELF\x00" + entries.encode() + b"\xff")
    return file


def write(folder: Path, *kernels: str) -> Path:
    file = folder / "coverage.jsonl"
    lines = [json.dumps({"kernel": name, "time": 1.5, "executed": "01"}) for name in kernels]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_every_kernel_of_ours_is_launched(library, tmp_path):
    assert kernels_of(library) == {ONE, TWO}  # CUB's have entries of their own
    check_all_launched(library, write(tmp_path, ONE, TWO, ONE))


def test_a_kernel_that_no_test_launches_is_named(library, tmp_path):
    with pytest.raises(Failed, match="1 kernels .* two_kernel<float>"):
        check_all_launched(library, write(tmp_path, ONE))
    with pytest.raises(Failed, match="no kernel was launched"):
        check_all_launched(library, tmp_path / "nothing.jsonl")


def test_a_library_without_kernels_is_no_success(tmp_path):
    file = tmp_path / "empty.so"
    file.write_bytes(b"nothing")
    with pytest.raises(Failed, match="holds no kernels"):
        check_all_launched(file, write(tmp_path, ONE))
