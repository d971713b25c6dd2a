"""Tests of the compare tool, of kernels.list, of Model.profile and of doctor."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import striate as st
from striate import compare

CANDIDATE = {
    "name", "status", "reason", "milliseconds", "estimate_ms", "roofline_percent",
    "workspace_bytes", "nmse", "max_ulp",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return compare.compare(st.zoo.lenet((16, 16, 1)), batch=3)


def test_every_kernel_is_compared_in_all_directions(rows):
    found = {(row["operation"], row["direction"]) for row in rows}
    for direction in compare.DIRECTIONS:
        assert ("matmul", direction) in found
    assert ("conv2d", "forward") in found
    assert ("conv2d_backward_input", "backward_input") in found
    assert ("conv2d_backward_weight", "backward_weight") in found
    assert ("max_pool2d_backward", "backward_input") in found
    first = next(row for row in rows if row["operation"] == "conv2d")
    assert first["layer"] == "conv2d" and first["dtype"] == "float32"
    assert first["shape"] == [3, 16, 16, 6]
    assert first["inputs"][:3] == [[3, 16, 16, 1], [6, 5, 5, 1], [6]]


def test_candidates_are_timed_and_exact(rows):
    for row in rows:
        by_name = {candidate["name"]: candidate for candidate in row["candidates"]}
        assert all(set(c) == CANDIDATE for c in row["candidates"])
        assert by_name[row["chosen"]]["status"] == "ok"
        assert by_name["reference"]["nmse"] == 0
        for c in row["candidates"]:
            if c["status"] == "ok":
                assert c["milliseconds"] > 0 and c["estimate_ms"] > 0 and c["roofline_percent"] > 0
                assert c["nmse"] <= compare.limit(row["operation"], c["name"])
                assert c["max_ulp"] >= 0 and c["workspace_bytes"] >= 0
            else:
                assert c["reason"] and c["milliseconds"] is None
    # The entries are other code than the reference: somewhere the last bits differ.
    assert any(c["nmse"] for row in rows for c in row["candidates"])
    assert compare.beyond_limit(rows) == []


def test_a_large_batch_is_checked_on_some_of_its_images():
    x = st.Input((56, 56, 64))
    model = st.Model(x, st.Conv2D(64, 3, padding="same", name="conv")(x))
    rows = compare.compare(model, batch=24, only=("conv2d", "conv2d_backward_weight"))
    assert [row["operation"] for row in rows] == ["conv2d", "conv2d_backward_weight"]
    for row in rows:
        assert 1 <= row["checked_batch"] < 24 and "images" in row["note"]
        ran = [c for c in row["candidates"] if c["milliseconds"]]
        assert ran and compare.beyond_limit(rows) == []


def test_a_fused_gradient_of_an_activation_is_left_out_for_all():
    x = st.Input((28, 28, 64))
    y = st.Conv2D(64, 3, padding="same", activation="relu", use_bias=False)(x)
    model = st.Model(x, st.Conv2D(64, 3, padding="same", use_bias=False, name="second")(y))
    rows = compare.compare(model, only=("conv2d_backward_input",))
    assert [row["layer"] for row in rows] == ["second"]
    # With vectors to take it, Winograd applies relu's gradient; no other entry does.
    passes = [row for row in compare.compare(model) if row["operation"] == "relu_backward"]
    assert bool(passes) != rows[0]["chosen"].startswith("winograd")
    assert len(rows[0]["inputs"]) == 3
    assert sum(bool(c["nmse"]) for c in rows[0]["candidates"]) >= 3
    assert compare.beyond_limit(rows) == []


def test_only_some(rows):
    model = st.zoo.lenet((16, 16, 1))
    some = compare.compare(model, only=("dense_1", "reference"))
    assert {row["layer"] for row in some} == {"dense_1"}
    assert all([c["name"] for c in row["candidates"]] == ["reference"] for row in some)


def test_command(tmp_path, monkeypatch, capsys):
    file, picture = tmp_path / "rows.json", tmp_path / "bars.png"
    model = tmp_path / "model.safetensors"
    st.Sequential([st.Input((4,)), st.Dense(3, activation="relu"), st.Dense(2)]).save(model)
    words = ["--network", str(model), "--batch", "2", "--json", str(file), "--plot", str(picture)]
    assert compare.main(words) == 0
    result = json.loads(file.read_text())
    assert result["striate"] == st.__version__ and result["device"] and result["measured"]
    assert {row["layer"] for row in result["rows"]} >= {"dense", "dense_1"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "0 not exact enough" in capsys.readouterr().out
    monkeypatch.setattr(compare, "limit", lambda operation, entry: -1.0)
    assert compare.main(words) == 1
    assert "nmse" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--network", "nix"], "one of alexnet"),
        (["--network", "lenet", "--batch", "0"], "batch must be >= 1"),
        (["--network", "lenet", "--device", "cuda"], "cuda"),
        (["--network", "lenet", "--only", "nix"], "'nix'"),
        ([], "--network"),
    ],
)
def test_wrong_usage(words, text):
    said = subprocess.run(
        [sys.executable, "-m", "striate", "compare", *words], capture_output=True, text=True
    )
    assert said.returncode == 2 and text in said.stderr and "Traceback" not in said.stderr


def test_kernels_say_why_they_decline():
    rows = st.kernels.list("conv2d", inputs=[(1, 8, 8, 3), np.zeros((4, 5, 5, 3), np.float32)])
    by_name = {row["name"]: row for row in rows}
    assert by_name["reference"]["accepts"] is True
    assert by_name["winograd"]["accepts"] is False and "3x3" in by_name["winograd"]["reason"]
    assert all(row["accepts"] is None for row in st.kernels.list("conv2d"))
    with pytest.raises(st.ShapeError):
        st.kernels.list("conv2d", inputs=[(1, 8, 8, 3), (4, 5, 5, 2)])
    with pytest.raises(st.KernelError, match="nix"):
        st.kernels.list("nix")
    assert by_name == {
        r["name"]: r for r in st.kernels.list("conv2d", inputs=[(1, 8, 8, 3), (4, 5, 5, 3)])
    }


def test_profile_times_each_kernel():
    model = st.zoo.lenet((16, 16, 1))
    model.compile(st.SGD(0.1), loss="sparse_categorical_crossentropy")
    before = model.get_weights()
    x, y = np.ones((4, 16, 16, 1), np.float32), np.arange(4)
    rows = model.profile(x, y, rounds=2)
    assert {"conv2d", "conv2d_backward_weight", "sgd"} <= {row["operation"] for row in rows}
    assert all(row["microseconds"] > 0 for row in rows if not row["once"])
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert {row["operation"] for row in model.profile(x)} < {row["operation"] for row in rows}


def test_doctor():
    command = [sys.executable, "-m", "striate", "doctor"]
    found = json.loads(subprocess.check_output([*command, "--json"], text=True))
    assert found["striate"] == st.__version__ and "cpu" in found["devices"]
    assert "reference" in found["kernels"]["conv2d"]
    assert found["devices"]["cpu"] in subprocess.check_output(command, text=True)
