"""Tests of STRIATE_VERBOSE: what is printed about the programs that are compiled."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np, striate as st
model = st.Sequential([st.Input((8, 8, 3)), st.Conv2D(4, 3), st.Flatten(), st.Dense(2)])
model.compile("sgd", "mean_squared_error")
model.fit(np.ones((6, 8, 8, 3)), np.ones((6, 2)), batch_size=4, verbose=False)
model.predict(np.ones((6, 8, 8, 3)))
model.predict(np.ones((6, 8, 8, 3)))
print("done")
"""


def printed(level):
    """Run the script; return the lines of its standard error."""
    environment = {k: v for k, v in os.environ.items() if k != "STRIATE_VERBOSE"}
    environment.update({} if level is None else {"STRIATE_VERBOSE": level})
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "done\n"
    return said.stderr.splitlines()


@pytest.mark.parametrize("level", [None, "0", ""])
def test_nothing_is_printed_by_default(level):
    assert printed(level) == []


def test_one_line_for_each_program():
    lines = printed("1")
    assert len(lines) == 3  # batches of 4 and of 2, and the prediction
    pattern = (
        r"striate: a program (to train|to run) on cpu, \d+ kernels \(\d+ \w+(, \d+ \w+)*\), "
        r"arena of \d+ bytes, planned in \d+\.\d{4} s"
    )
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found)
    assert [match[1] for match in found] == ["to train", "to train", "to run"]


def test_each_choice_with_its_refusals():
    lines = printed("2")
    heads = [line for line in lines if line.startswith("striate: a program")]
    choices = [line for line in lines if line.startswith("striate:   ")]
    assert len(heads) == 3 and len(heads) + len(choices) == len(lines)
    convolutions = [line for line in choices if line.startswith("striate:   conv2d of conv2d: ")]
    assert len(convolutions) == 3
    for line in convolutions:
        reason = r"lowest estimate of those that accept \((\S+) ms, \w+ (\S+) ms\)"
        found = re.search(r": \w+( \(.+\))?, " + reason, line)
        assert 0 < float(found[2]) <= float(found[3])
        assert "; depthwise takes one input and one output channel a group" in line
