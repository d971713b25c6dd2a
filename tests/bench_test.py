"""Tests of tools/bench: what it refuses, how it converts weights, and one short run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


workloads = _load(TOOLS / "bench_workers" / "workloads.py")
bench = _load(TOOLS / "bench.py")

PEER = """
import sys
sys.path.insert(0, {workers!r})
from loop import serve

class Peer:
    def prepare(self, workload, variant, folder):
        return {{"peer": "1.0"}}
    def check(self):
        return {values}
    def step(self):
        sum(range(20000))

serve(Peer())
"""


class _Options:
    peer_python = sys.executable
    rounds = 5


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Return a function that starts a peer with given losses."""
    workers = []

    def start(values):
        script = tmp_path / "peer.py"
        script.write_text(PEER.format(workers=str(TOOLS / "bench_workers"), values=values))
        monkeypatch.setitem(bench.PEERS, "torch", (str(script), [None]))
        expected = [2.0, 1.5]
        workers.append(bench.start_peer(_Options, "a64", "torch", None, str(tmp_path), expected))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def test_equal_losses_are_accepted_and_timed(peer):
    worker = peer([2.0, 1.5005])
    assert worker.reason == "" and worker.versions == {"peer": "1.0"}
    other = peer([2.0, 1.5])
    bench.go_round([worker, other], 5)
    for side in (worker, other):
        assert len(side.seconds) >= 5
        assert 1e-6 < min(side.seconds) < 0.4
    row = bench.make_row("a64", worker, "torch", None, other, "")
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer_value"])


def test_other_losses_are_refused(peer):
    assert "losses over 5 steps differ" in peer([2.0, 1.51]).reason
    assert "differ" in peer([2.0]).reason
    assert "differ" in peer("[2.0, float('nan')]").reason


def test_a_peer_that_ends_is_a_reason(peer):
    assert "it ended (1)" in peer("exec('import os; os._exit(1)')").reason
    assert "ZeroDivisionError" in peer("[1 / 0]").reason
    assert "not installed" in peer("__import__('no_such_module')").reason


def test_samples_count_only_where_the_clocks_agree():
    good = {"wall": 0.4, "stamp": 0.401, "cpu": 0.79, "steps": 3}
    assert bench.clocks_agree(good)
    assert not bench.clocks_agree({**good, "wall": 0.3})
    assert not bench.clocks_agree({**good, "cpu": 1.1})  # two threads cannot use so much


def test_busy_processes_compute_until_the_rounds_are_over():
    with bench.busy_processes(2) as loops:
        time.sleep(0.3)
        assert [loop.poll() for loop in loops] == [None, None]
        ticks = Path(f"/proc/{loops[0].pid}/stat").read_text().rsplit(")", 1)[1].split()[11]
        assert int(ticks) > 0
    assert all(loop.poll() is not None for loop in loops)
    with bench.busy_processes(0) as loops:
        assert loops == []


def test_dense_weights_follow_the_flattened_image():
    random = np.random.default_rng(0)
    image = random.standard_normal((5, 4, 4, 6))
    filters, dense = random.standard_normal((6, 3, 3, 2)), random.standard_normal((96, 7))
    after = random.standard_normal((7, 3))
    first, weights, last = workloads.to_channels_first([filters, dense, after])
    assert first.shape == (6, 2, 3, 3) and first[4, 1, 2, 0] == filters[4, 2, 0, 1]
    channels_first = image.transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_allclose(channels_first @ weights.T, image.reshape(5, -1) @ dense)
    np.testing.assert_array_equal(last, after.T)


def test_batch_norm_is_folded_into_filters_and_bias():
    random = np.random.default_rng(1)
    filters, dense = random.standard_normal((4, 1, 1, 3)), random.standard_normal((4, 2))
    gamma, beta, mean = (random.standard_normal(4) for _ in range(3))
    variance = random.uniform(0.5, 1.5, 4)
    weights = [filters, gamma, beta, mean, variance, dense, np.zeros(2)]
    folded, bias, *rest = workloads.fold_batch_norm(weights)
    x = random.standard_normal(3)
    expected = (filters[:, 0, 0] @ x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(folded[:, :, 0, 0] @ x + bias, expected, rtol=1e-5)
    assert len(rest) == 2 and rest[0].shape == (2, 4)


def test_wrong_usage():
    wrong = ["--workloads z9", "--peers keras", "--rounds many", "--peer-python /absent/python"]
    for words in map(str.split, wrong):
        said = subprocess.run(
            [sys.executable, str(TOOLS / "bench.py"), *words], capture_output=True, text=True
        )
        assert said.returncode == 2 and "error" in said.stderr


def test_a_missing_peer_is_a_row_with_a_reason(tmp_path):
    file = tmp_path / "rows.json"
    empty = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(empty)], check=True)
    command = [sys.executable, str(TOOLS / "bench.py"), "--workloads", "b64", "--json", str(file)]
    command += ["--peer-python", str(empty / "bin" / "python")]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    rows = json.loads(file.read_text())["rows"]
    assert [(row["peer"], row["variant"]) for row in rows[:2]] == [
        ("torch", "eager"),
        ("torch", "channels_last"),
    ]
    for row in rows:
        assert row["workload"] == "b64" and row["unit"] == "images/s"
        assert row["ours"] > 0 and row["ratio"] is None and row["peer_value"] is None
        assert row["reason"] and "striate" in row["versions"]
    assert "not installed" in rows[0]["reason"] and rows[0]["reason"] in said.stdout
