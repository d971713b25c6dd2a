"""Tests of files that are absent, damaged, alien or lying, and of a full disk."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import striate as st
from bad_input import classifier, raises, state, valid_calls_work_after  # noqa: F401


@pytest.fixture
def saved(tmp_path):
    model = classifier()
    model.train_step()(np.ones((2, 4, 4, 1)), np.array([0, 1]))
    model.save(tmp_path / "model.safetensors", checkpoint=True)
    return model, tmp_path / "model.safetensors"


def _refused(path, text=None):
    with pytest.raises(st.FileError, match=text) as caught:
        st.load(path)
    assert isinstance(caught.value, OSError)


def test_files_that_are_not_there(tmp_path):
    model = classifier()
    gone = tmp_path / "gone" / "m.safetensors"
    tail = "No such file or directory. Check the path; its folder must exist."
    raises(st.FileError, f"'{gone}' cannot be read: {tail}", lambda: st.load(gone))
    raises(st.FileError, f"'{gone}' cannot be written: {tail}", lambda: model.save(gone))
    with pytest.raises(st.FileError):
        st.load(tmp_path)  # a folder


def test_truncated_files_are_refused(saved):
    _, path = saved
    whole = path.read_bytes()
    for size in sorted({0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 4, len(whole) - 1}):
        path.write_bytes(whole[:size])
        _refused(path)
    path.write_bytes(whole + b"\0")
    _refused(path)
    path.write_bytes(whole)
    assert st.load(path).step == 1


def test_flipped_bits_are_refused_and_nothing_is_half_loaded(saved):
    model, path = saved
    whole = bytearray(path.read_bytes())
    before = state(model)
    random = np.random.default_rng(0)
    for place in random.integers(0, 8 * len(whole), 300):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        _refused(path)
        with pytest.raises(st.FileError):
            model.load_weights(path)
    assert state(model) == before
    path.write_bytes(whole)
    assert len(model.load_weights(path)["loaded"]) == 8


def test_alien_files_are_refused(saved, tmp_path):
    from safetensors.numpy import save_file

    model, _ = saved
    for name, content in [
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("text", b"a plain text file\n" * 20),
        ("zip", b"PK\x03\x04" + bytes(100)),
        ("zeros", bytes(1000)),
        ("pickle", b"\x80\x04\x95" + bytes(100)),
    ]:
        (tmp_path / name).write_bytes(content)
        _refused(tmp_path / name)
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "weights.safetensors")
    raises(
        st.FileError,
        f"the file '{tmp_path / 'weights.safetensors'}' holds weights but no graph. "
        "Build the model and call load_weights(file).",
        lambda: st.load(tmp_path / "weights.safetensors"),
    )


def _rewritten(path, change):
    """Write the file again with another header; the checksum is left out."""
    whole = path.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])


def test_lying_files_are_refused(saved):
    model, path = saved
    whole = path.read_bytes()
    before = state(model)

    def metadata(change):
        return lambda header: change(header["__metadata__"])

    def without_checksum(values):
        for key in [key for key in values if key not in ("striate.graph", "striate.compile")]:
            del values[key]

    def other_graph(values):
        without_checksum(values)
        values["striate.graph"] = values["striate.graph"].replace('"units":3', '"units":4')

    def longer(header):
        header["conv/bias"]["shape"] = [400]

    def beyond(header):
        header["conv/bias"]["data_offsets"][1] += 1 << 40

    def overlapping(header):
        header["conv/bias"]["data_offsets"] = header["classes/bias"]["data_offsets"]

    def renamed(header):
        header["conv/bia"] = header.pop("conv/bias")

    for change in (metadata(without_checksum), metadata(other_graph), longer, beyond, overlapping,
                   renamed):  # fmt: skip
        _rewritten(path, change)
        _refused(path)
        path.write_bytes(whole)
    _rewritten(path, metadata(without_checksum))
    raises(
        st.FileError,
        "the file holds no model that this version reads: it has a graph but not the checksum "
        f"that model files have, got '{path}'.",
        lambda: st.load(path),
    )
    assert state(model) == before


FULL_DISK = """
import resource, signal, sys
import striate as st

model = st.Sequential([st.Input((64,)), st.Dense(512), st.Dense(512)])
model.save(sys.argv[1])
before = open(sys.argv[1], "rb").read()
x = [value * 2 for value in model.get_weights()]
model.set_weights(x)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in (0, 1000, 100_000, len(before) - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        model.save(sys.argv[1])
    except st.FileError as error:
        assert isinstance(error, OSError) and "cannot be written" in str(error), error
    else:
        raise SystemExit("a full disk was not noticed")
    assert open(sys.argv[1], "rb").read() == before
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
model.save(sys.argv[1])
assert (st.load(sys.argv[1]).get_weights()[0] == x[0]).all()
"""


def test_a_full_disk_leaves_the_old_file(tmp_path):
    file = tmp_path / "m.safetensors"
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True,
        env=os.environ, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]  # nothing left over
