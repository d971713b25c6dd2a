"""Tests of python -m striate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import striate as st


def run(*words, code=0):
    """Run the command line; return what it printed."""
    said = subprocess.run(
        [sys.executable, "-m", "striate", *map(str, words)], capture_output=True, text=True
    )
    assert said.returncode == code, said.stderr
    return said.stdout + said.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "lenet.safetensors"
    st.zoo.lenet().save(file)
    return file


def test_summary_and_explain(model):
    assert "61,706 parameters" in run("summary", model)
    rows = [line.split() for line in run("explain", model, "--batch", 4).splitlines()]
    assert {"conv2d", "matmul"} <= {row[1] for row in rows}


def test_version_and_package():
    assert run("--version").strip() == st.__version__
    assert (Path(run("--cmake-dir").strip()) / "striateConfig.cmake").exists()
    assert "compare" in run("--help")


def test_ctrl_c_ends_with_130(monkeypatch):
    from striate import __main__ as command_line

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "main", interrupted)
    assert command_line.command() == 130
    scripts = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert 'striate = "striate.__main__:command"' in scripts


def test_wrong_usage_and_wrong_files(tmp_path):
    assert "usage" in run(code=2)
    assert "invalid choice" in run("explode", code=2)
    assert "cannot be read" in run("summary", tmp_path / "absent", code=1)
    (tmp_path / "alien").write_text("alien")
    assert "not a safetensors file" in run("explain", tmp_path / "alien", code=1)
