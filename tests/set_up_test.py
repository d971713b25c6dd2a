"""Tests of what ./tools/quickstart and ./tools/test say where they cannot do their work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import environment


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
