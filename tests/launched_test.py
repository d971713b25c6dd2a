"""Tests of the list of CUDA kernels that the tests launch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from environment import Failed
from launched import NEVER_LAUNCHED, check_all_launched, kernels_of

ONE, TWO = "_ZN7striate4cuda10one_kernelIfEEvv", "_ZN7striate4cuda10two_kernelIfEEvv"
SORT = "_ZN3cub17CUB_300001_SM_8006detail10SortKernelIiEEvv"
EMPTY = "_ZN3cub17CUB_300001_SM_8006detail11EmptyKernelIvEEvv"  # excused


@pytest.fixture
def library(tmp_path) -> Path:
    file = tmp_path / "library.so"
    entries = "".join(f".visible .entry {name}(\n)\n{{\n}}\n" for name in (ONE, TWO, SORT, EMPTY))
    file.write_bytes(b"\x7fELF\x00" + entries.encode() + b"\xff")
    return file


def write(folder: Path, *kernels: str) -> Path:
    file = folder / "coverage.jsonl"
    lines = [json.dumps({"kernel": name, "time": 1.5, "executed": "01"}) for name in kernels]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_every_kernel_is_launched(library, tmp_path, capsys):
    assert kernels_of(library) == {ONE, TWO, SORT, EMPTY}
    check_all_launched(library, write(tmp_path, ONE, TWO, SORT, ONE))
    said = capsys.readouterr().out
    assert "3 of 3 kernels launched under full checks, 1 of them CUB's" in said
    assert "0 missing, 1 excused: cub::CUB_300001_SM_800::detail::EmptyKernel<void>" in said


def test_a_kernel_that_no_test_launches_is_named(library, tmp_path):
    with pytest.raises(Failed, match="1 kernels .* two_kernel<float>"):
        check_all_launched(library, write(tmp_path, ONE, SORT))
    with pytest.raises(Failed, match="1 kernels .* cub::.*::SortKernel<int>"):
        check_all_launched(library, write(tmp_path, ONE, TWO))
    with pytest.raises(Failed, match="no kernel was launched"):
        check_all_launched(library, tmp_path / "nothing.jsonl")


def test_each_excuse_has_a_reason():
    assert all(len(reason) > 10 for reason in NEVER_LAUNCHED.values())


def test_a_library_without_kernels_is_no_success(tmp_path):
    file = tmp_path / "empty.so"
    file.write_bytes(b"nothing")
    with pytest.raises(Failed, match="holds no kernels"):
        check_all_launched(file, write(tmp_path, ONE))
