"""Tests of the options of the commands in tools/, which are read before anything is set up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
COMMANDS = ["quickstart", "bench", "compare", "train_emulated", "kernel-report"]


def environment(name, *words):
    """Run environment.py as ./tools/NAME does, with a Python that has no packages at all."""
    command = [sys.executable, "-S", "-E", TOOLS / "environment.py", name, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_wrong_options_need_no_set_up(name):
    said = environment(name, "--help")
    assert (said.returncode, said.stderr) == (0, "") and f"./tools/{name}" in said.stdout
    assert "--no-apt" in said.stdout
    network = ["--network", "lenet"] if name == "compare" else []
    said = environment(name, *network, "--nonsense")
    assert said.returncode == 2 and "--nonsense" in said.stderr and not said.stdout


@pytest.mark.parametrize("name", COMMANDS[1:])
def test_a_file_that_cannot_be_is_told_first(name, tmp_path):
    network = ["--network", "lenet"] if name == "compare" else []
    for file in (tmp_path / "absent" / "it.json", tmp_path):
        said = environment(name, *network, "--json", file)
        assert said.returncode == 2 and f"'{file}' is not a file in a folder" in said.stderr


def test_every_command_that_sets_up_has_options():
    scripts = [file for file in TOOLS.iterdir() if file.is_file() and not file.suffix]
    names = [file.name for file in scripts if f'environment.py" {file.name} ' in file.read_text()]
    assert sorted(names) == sorted(COMMANDS)
