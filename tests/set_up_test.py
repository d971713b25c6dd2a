"""Tests of what ./tools/quickstart and ./tools/test say where they cannot do their work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import environment
import stages


def said(capsys, main) -> str:
    """Run a command's main; return what it printed before it ended with 1."""
    with pytest.raises(SystemExit) as ended:
        environment.run_main(main)
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_a_folder_of_another_user(monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written by this user; clone into" in said(capsys, environment.set_up)


def test_a_full_disk(capsys):
    def full():
        raise OSError(28, "No space left on device", "build/x")

    assert said(capsys, full) == "No space left on device: build/x\n"


def test_a_compiler_of_an_older_cuda_is_named(tmp_path):
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n")
    nvcc.chmod(0o755)
    root = Path(__file__).resolve().parents[1]
    options = [f"-DCMAKE_CUDA_COMPILER={nvcc}"]
    options += [f"-DSTRIATE_{part}=OFF" for part in ("ONEDNN", "TESTS", "PYTHON")]
    command = ["cmake", "-S", root, "-B", tmp_path / "build", *options]
    found = subprocess.run(command, capture_output=True, text=True)
    assert f"CUDA plug-in: off, needs CUDA 13, {nvcc} is 12.4" in found.stdout
    assert found.returncode == 0
    found = subprocess.run([*command, "-DSTRIATE_CUDA=on"], capture_output=True, text=True)
    refused = " ".join(found.stderr.split())  # as CMake breaks its lines
    assert found.returncode != 0 and f"STRIATE_CUDA=on: needs CUDA 13, {nvcc} is 12.4" in refused


SEEDS = ("STRIATE_TEST_SEED", "EMULATOR_SEED")


def test_seeds_are_new_each_time_and_printed(monkeypatch, capsys):
    for name in SEEDS:
        monkeypatch.delenv(name, raising=False)
    for now in (1001.5, 1002.5):
        monkeypatch.setattr(stages.time, "time", lambda now=now: now)
        assert stages.seeds() == dict.fromkeys(SEEDS, str(int(now)))
    monkeypatch.setenv("EMULATOR_SEED", "7")  # as a run printed it
    assert stages.seeds() == {"STRIATE_TEST_SEED": "1002", "EMULATOR_SEED": "7"}
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].strip() == "seeds: STRIATE_TEST_SEED=1002 EMULATOR_SEED=7"


def test_the_tests_of_cuda_kernels_and_of_mutants_take_the_seeds(monkeypatch):
    taken = []

    def ran(command, *_, **__):
        taken.append(tuple(os.environ.get(name) for name in ("EMULATOR_CHECKS", *SEEDS)))
        return stages.Count()

    monkeypatch.setattr(stages, "seeds", lambda: dict(zip(SEEDS, ("11", "12"))))
    for name in ("fetch_googletest", "build_cuda", "check_all_launched"):
        monkeypatch.setattr(stages, name, lambda *_: None)
    monkeypatch.setattr(stages, "run_reported", ran)
    monkeypatch.setattr(stages, "run_in_halves", ran)
    monkeypatch.setattr(stages, "run", ran)
    for name in ("EMULATOR_CHECKS", *SEEDS):
        monkeypatch.delenv(name, raising=False)
    assert stages.cuda(long=False).failed == []
    assert taken.count(("full", "11", "12")) == 2  # all tests, then some with mutants
