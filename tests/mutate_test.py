"""Tests of tools/mutate: which mutants it takes, what it makes of survivors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import mutate
from environment import ROOT, Failed
from mutants import Mutant, Survivors, read_mutants, read_tests, sample, source_name

SOURCE = "kernels/reduce.cu"
KERNEL = "_ZN7striate7kernels6kernelEv"
LINES = [line.strip() for line in (ROOT / SOURCE).read_text().splitlines()]
LINE = next(i for i, line in enumerate(LINES, 1) if line.startswith("if (exceeds(other"))


def made(kernel: str, index: int = 0, line: int = LINE, **more) -> Mutant:
    return Mutant(kernel, "drop_guard", index, SOURCE, line, "@%p1 bra L;", **more)


def written(folder: Path, **more) -> Path:
    entry = {"file": SOURCE, "line": LINES[LINE - 1], "kind": "drop_guard", "reason": "same"}
    file = folder / "survivors.json"
    file.write_text(json.dumps({"least_reached": 0.5, "survivors": [entry | more]}))
    return file


def test_a_sample_takes_every_place_once_before_any_twice():
    mutants = [made(f"k{k}", line=line) for k in range(20) for line in range(1, 6)]
    chosen = sample(mutants, 5, seed=3)
    assert sorted(m.line for m in chosen) == [1, 2, 3, 4, 5]
    assert sample(mutants, 5, seed=3) == chosen and sample(mutants, 5, seed=4) != chosen
    assert len({m.id + str(m.line) for m in sample(mutants, 99, 0)}) == 99
    assert len(sample(mutants, 1000, 0)) == 100


def test_a_survivor_is_known_by_the_text_of_its_line(tmp_path):
    known = Survivors(written(tmp_path))
    assert known.reason(made("k")) == "same"
    assert known.reason(made("k", line=LINE + 1)) == ""
    assert Survivors(written(tmp_path, ptx="^@!")).reason(made("k")) == ""
    assert Survivors(written(tmp_path, kernel="^k$", ptx="bra")).reason(made("k")) == "same"
    assert Survivors(written(tmp_path, kernel="half")).reason(made("k")) == ""
    assert Survivors(written(tmp_path, kind="negate_guard")).reason(made("k")) == ""


@pytest.mark.parametrize("wrong", [{"line": "no such line"}, {"reason": ""}, {"file": "x.cu"}])
def test_a_list_that_does_not_fit_the_sources_is_refused(tmp_path, wrong):
    with pytest.raises(Failed):
        Survivors(written(tmp_path, **wrong))


def test_the_list_in_the_repository_fits_the_sources():
    record = Survivors().record
    assert 0.5 < record["least_reached"] < 1


def test_names_of_sources_do_not_depend_on_the_build_folder():
    assert source_name(f"/elsewhere/build/../{SOURCE}") == SOURCE
    assert source_name("/usr/include/c++/12/cmath").endswith("cmath")


REPORT = """<testsuites><testsuite>
<testcase classname="A" name="B" time="1.0">{}</testcase>
<testcase classname="C" name="D" time="2.0"/>
</testsuite></testsuites>"""


def test_a_mutant_knows_the_launch_of_each_test_that_reaches_it(tmp_path):
    report, coverage = tmp_path / "report.xml", tmp_path / "coverage.jsonl"
    report.write_text(REPORT.format(""))
    tests = read_tests(report)
    place = {"kind": "drop_guard", "file": SOURCE, "line": 1, "ptx": "", "equivalent": ""}
    places = [{**place, "index": i} for i in range(4)]
    lines = [
        {"test": "A.B"},
        {"kernel": "_ZN3cub6kernelEv", "places": places},
        {"kernel": KERNEL, "places": places},
        {"kernel": KERNEL, "executed": "1020"},
        {"kernel": KERNEL, "executed": "1120"},
        {"test": "C.D"},
        {"kernel": KERNEL, "executed": "0120"},
    ]
    coverage.write_text("".join(json.dumps(line) + "\n" for line in lines))
    mutants = read_mutants(coverage, tests)
    assert [m.tests for m in mutants] == [{"A.B": 0}, {"A.B": 1, "C.D": 0}, {}, {}]
    # Of the third, a launch executes the place, but the guard stops no lane.
    assert [m.reached for m in mutants] == [True, True, True, False]

    report.write_text(REPORT.format('<failure message="no"/>'))
    with pytest.raises(Failed, match="A.B fails without a change"):
        read_tests(report)


def test_a_small_sample_may_have_survivors_by_chance():
    assert [mutate.most_survivors(n, is_sample=True) for n in (1, 10, 24, 60, 100)] == [
        1, 2, 3, 6, 9]  # fmt: skip
    assert [mutate.most_survivors(n, is_sample=False) for n in (19, 20, 60, 100)] == [0, 1, 3, 5]
    assert mutate.most_survivors(200, is_sample=True) == 10


class Stub:
    """Tests of which `C.D` notices mutants of odd index."""

    def __init__(self, outcome: str = "-5"):
        self.asked: list[tuple[str, list[int]]] = []
        self.outcome = outcome

    def try_mutants(self, test, mutants):
        self.asked.append((test.name, [m.index for m in mutants]))
        notices = test.name == "C.D"
        return {m.id: self.outcome if notices and m.index % 2 else "0" for m in mutants}


def test_mutants_go_to_the_quickest_test_and_on_to_the_next_until_one_fails(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(""))
    tests = read_tests(report)
    for outcome, timeout in (("-5", False), ("timeout", True)):
        mutants = [made("k", i, tests={"A.B": 0, "C.D": 0}) for i in range(4)]
        stub = Stub(outcome)
        mutate.Trials(stub, tests[::-1], mutants).run()
        assert stub.asked == [("A.B", [0, 1, 2, 3]), ("C.D", [0, 1, 2, 3])]
        assert [m.caught_by for m in mutants] == [None, "C.D", None, "C.D"]
        assert [m.timeout for m in mutants] == [False, timeout, False, timeout]


def test_patience_spares_a_survivor_the_slow_tests(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(""))
    stub, mutants = Stub(), [made("k", i, tests={"A.B": 0, "C.D": 0}) for i in range(2)]
    mutate.Trials(stub, read_tests(report), mutants, patience=2.5).run()
    assert stub.asked == [("A.B", [0, 1])] and not any(m.caught_by for m in mutants)


@pytest.mark.parametrize("caught, known, code", [(20, 0, 0), (19, 1, 0), (19, 0, 0), (18, 1, 1)])
def test_survivors_that_nobody_explains_are_a_failure(
    tmp_path, monkeypatch, capsys, caught, known, code
):
    """Of 20 mutants the first `caught` are noticed; the last `known` are listed as survivors."""
    report, coverage = tmp_path / "report.xml", tmp_path / "coverage.jsonl"
    report.write_text(REPORT.format(""))
    place = {"kind": "drop_guard", "file": SOURCE, "ptx": "@%p1 bra L;", "equivalent": ""}
    places = [{**place, "index": i, "line": LINE if i >= 20 - known else 1} for i in range(20)]
    launch = {"kernel": KERNEL, "executed": "1" * 20}
    lines = [{"test": "A.B"}, {"kernel": KERNEL, "places": places}, launch]
    coverage.write_text("".join(json.dumps(line) + "\n" for line in lines))

    class Noticing:
        def __init__(self, build, filter):
            pass

        def try_mutants(self, test, mutants):
            return {m.id: "-5" if m.index < caught else "0" for m in mutants}

    monkeypatch.setattr(mutate, "Program", Noticing)
    monkeypatch.setattr(mutate, "Survivors", lambda: Survivors(written(tmp_path)))
    files = ["--coverage", coverage, "--report", report, "--json", tmp_path / "out.json"]
    monkeypatch.setattr(sys, "argv", ["mutate", "--build", str(tmp_path), *map(str, files)])
    assert mutate.main() == code
    survivors = 20 - known - min(caught, 20 - known)
    assert capsys.readouterr().out.count("\nsurvives: ") == survivors
    rows = json.loads((tmp_path / "out.json").read_text())["mutants"]
    assert len(rows) == 20 and sum(row["equivalent"] == "same" for row in rows) == known
    assert {"id", "kernel", "kind", "caught_by"} <= set(rows[0])
