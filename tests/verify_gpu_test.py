"""Tests of tools/verify-gpu: what it reports, and how it goes on without network or GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import environment
import verify_gpu


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Keep the variables and the choice of a Python, which the command sets for its children."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(environment, "PYTHON", environment.PYTHON)
    monkeypatch.setattr(os, "chdir", lambda folder: None)


def test_checks_keep_what_became_of_them():
    report = verify_gpu.Report()

    def fails():
        raise environment.Failed("exit code 7")

    assert report.check("good", lambda: ("passed", "5 passed"))
    assert not report.check("bad", fails)
    assert not report.check("left out", lambda: ("skipped", "no GPU"))
    assert [check["status"] for check in report.checks] == ["passed", "failed", "skipped"]
    assert report.checks[1]["detail"] == "exit code 7"
    assert all(check["seconds"] >= 0 for check in report.checks)


def test_without_packages_from_the_network_the_machines_are_used(monkeypatch):
    def no_network(**options):
        raise environment.Failed("pip could not connect")

    monkeypatch.setattr(environment, "set_up", no_network)
    monkeypatch.setattr(environment, "build_library", lambda: None)
    status, detail = verify_gpu.set_up(system=False)
    assert status == "passed"
    assert "pip could not connect" in detail and sys.executable in detail
    assert Path(sys.executable) == environment.PYTHON
    assert str(verify_gpu.ROOT / "python") in os.environ["PYTHONPATH"]


def test_what_the_machine_lacks_is_named(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "PIL" and real(name))
    with pytest.raises(environment.MustInstall, match="pillow must be installed first"):
        verify_gpu.use_this_python("asked for by --system")


def test_compute_sanitizer_needs_a_gpu():
    status, detail = verify_gpu.sanitizer("memcheck", emulated=True)
    assert (status, detail.split(";")[0]) == ("skipped", "no GPU")


def run(monkeypatch, tmp_path, device="", tables="passed", why="there is no NVIDIA driver"):
    """Run the command with every stage replaced; return the exit code and the report."""
    built = []
    monkeypatch.setattr(verify_gpu, "set_up", lambda system: ("passed", ""))
    monkeypatch.setattr(environment, "fetch_googletest", lambda: None)
    monkeypatch.setattr(verify_gpu, "build", lambda *call: built.append(call) or ("passed", ""))
    reason = "" if device else why
    monkeypatch.setattr(verify_gpu.environment, "find_gpu", lambda: (device, reason))
    monkeypatch.setattr(verify_gpu, "table_tests", lambda sample: (tables, f"sample {sample}"))
    monkeypatch.setattr(verify_gpu, "python_tests", lambda: ("passed", ""))
    monkeypatch.setattr(verify_gpu, "sanitizer", lambda tool, emulated: ("skipped", tool))
    monkeypatch.setattr(verify_gpu, "measure", lambda report, emulated: {"layers": [emulated]})
    os.environ.pop("STRIATE_CUDART", None)
    file = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", ["verify-gpu", "--json", str(file)])
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    return verify_gpu.main(), json.loads(file.read_text()), built


def test_without_a_gpu_the_emulator_stands_in_and_is_named(monkeypatch, tmp_path):
    code, report, built = run(monkeypatch, tmp_path)
    assert (code, report["device"], report["layers"]) == (0, "emulator", [True])
    assert built[1][0] == ["emulator_runtime"]
    assert str(environment.EMULATOR) == os.environ["STRIATE_CUDART"]
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert details["tables of all kernels on the device"] == "sample True"


def test_on_a_gpu_all_tables_run_and_a_failure_is_the_exit_code(monkeypatch, tmp_path):
    code, report, built = run(monkeypatch, tmp_path, device="H100", tables="failed")
    assert (code, report["device"], report["layers"]) == (1, "H100", [False])
    assert len(built) == 1
    assert "STRIATE_CUDART" not in os.environ
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert details["tables of all kernels on the device"] == "sample False"


def test_what_must_be_installed_is_exit_code_3(monkeypatch, tmp_path, capsys):
    why = "the NVIDIA driver serves CUDA 12.8. Install NVIDIA's driver 580 or newer"
    code, report, _ = run(monkeypatch, tmp_path, why=why)
    assert (code, report["device"]) == (3, "emulator")
    missing = [check for check in report["checks"] if check["status"] == "missing"]
    assert [(check["name"], check["detail"]) for check in missing] == [("driver", why)]
    code, _, _ = run(monkeypatch, tmp_path, why=why, tables="failed")
    assert code == 1  # a failure says more


def test_the_emulator_is_known_by_its_name(monkeypatch, tmp_path):
    code, report, _ = run(monkeypatch, tmp_path, device="emulator posing as compute capability 8.0")
    assert (code, report["device"], report["layers"]) == (0, "emulator", [True])


def test_tests_that_could_not_be_built_name_what_they_need(monkeypatch, tmp_path):
    monkeypatch.setattr(verify_gpu, "TESTS", tmp_path / "striate_tests")
    with pytest.raises(environment.MustInstall, match="GoogleTest must be installed first"):
        verify_gpu.table_tests(sample=False)
