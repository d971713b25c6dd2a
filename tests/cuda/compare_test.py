"""The compare tool on CUDA kernels: each against the CPU's reference, without times where emulated.

Without a GPU the stage `cuda` of ./tools/test runs this under the emulator.
"""

from __future__ import annotations

import json
import os

import pytest
import striate as st
from striate import compare


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    model = st.Sequential([
        st.Input((9, 9, 8)), st.Conv2D(16, 3, padding="same", activation="relu"),
        st.MaxPool2D(2), st.Flatten(), st.Dense(3),
    ])  # fmt: skip
    file = tmp_path_factory.mktemp("compare") / "model.safetensors"
    model.save(file)
    return str(file)


def test_every_direction_is_compared_with_the_reference(network, tmp_path, capsys):
    file = tmp_path / "rows.json"
    words = ["--network", network, "--batch", "3", "--device", "cuda", "--json", str(file)]
    assert compare.main(words) == 0
    assert "0 not exact enough" in capsys.readouterr().out
    result = json.loads(file.read_text())
    emulated = "STRIATE_CUDART" in os.environ
    assert result["device"].startswith("emulator") == emulated
    assert (result["measured"] is None) == emulated
    rows = result["rows"]
    assert {row["direction"] for row in rows if row["operation"].startswith("conv2d")} == {
        "forward", "backward_weight"}  # fmt: skip
    assert {row["direction"] for row in rows if row["operation"] == "matmul"} == set(
        compare.DIRECTIONS)  # fmt: skip
    for row in rows:
        by_name = {candidate["name"]: candidate for candidate in row["candidates"]}
        chosen = by_name[row["chosen"]]
        assert chosen["status"] == "ok" and chosen["nmse"] is not None
        assert (chosen["milliseconds"] is None) == emulated and chosen["estimate_ms"] > 0
        assert by_name["reference"]["status"] == "ok"
        if row["operation"].startswith("conv2d"):
            assert by_name["implicit_gemm"]["status"] == "ok"
            assert "where TF32 is asked for" in by_name["tensor_core"]["reason"]


def test_an_entry_that_is_not_exact_enough_is_told(network, monkeypatch, capsys):
    monkeypatch.setattr(compare, "limit", lambda operation, entry: -1.0)
    words = ["--network", network, "--batch", "1", "--device", "cuda", "--only", "implicit_gemm"]
    assert compare.main(words) == 1
    assert "implicit_gemm: nmse" in capsys.readouterr().err
