"""Each opcode that the tests' emulator knows has a test of its own."""

from __future__ import annotations

import re
from pathlib import Path

EMULATOR = Path(__file__).parent / "emulator"


def test_each_opcode_is_in_a_test_program():
    known, tested = set(), set()
    for file in EMULATOR.glob("*.cpp"):
        text = file.read_text()
        known.update(re.findall(r'register_opcode\("(\w+)"', text))
        if file.name.endswith("_test.cpp"):
            for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"|R"\(([^"]*)\)"', text):
                lines = re.split(r"\\n|\n|;|\{", "".join(literal))
                words = (re.match(r"\s*(?:@!?%?\w+ )?\s*([a-z]\w*)", line) for line in lines)
                tested.update(word.group(1) for word in words if word)
    assert len(known) > 80
    assert not known - tested
