"""What is to run on a GPU, tried without one: the benchmarks of a device, a session that is cut, boxed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("benchmarks.measure", reason="the benchmarks are not beside the tests")

from benchmarks import gpu_session, measure, table
from benchmarks.gpu import command, place, summary
from benchmarks.gpu_session import Case, Session
from benchmarks.measure import Row
from minigrad.cuda import matmul_rungs
from tests.cuda import mutants_there, stand_in
from tests.cuda.test_mutants import MUTANTS

SMOKE = ["--device", "cuda-sim", "--smoke"]


def python(text):
    return [sys.executable, "-c", text]


# The benchmarks of a device ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", command.GROUPS)
def test_groups_run_end_to_end(group, tmp_path, capsys):
    """The rows of single ops are run by one of them."""
    files = ["--csv", str(tmp_path / "a.csv"), "--lines", str(tmp_path / "a.jsonl")]
    assert command.main([*SMOKE, *files, "softmax" if group == "ops" else group]) == 0
    rows, facts = table.read(tmp_path / "a.csv")
    assert rows and all(row.ours > 0 for row in rows)
    assert "mean nothing" in facts["device"] and all(
        "mean nothing" in row.note or row.group == "ceilings" for row in rows
    )
    assert len(gpu_session.lines(tmp_path / "a.jsonl")) == len(rows)
    assert measure.device is None and measure.effort is not measure.QUICK


def test_the_same_on_the_stand_in(capsys):
    with stand_in.installed():
        assert command.main(["--device", "cuda", "--smoke", "ceilings", "step", "softmax"]) == 0
    shown = capsys.readouterr().out
    assert "nothing, CuPy's launcher" in shown and "small net" in shown and "softmax(-1) 64x10, forward" in shown


def test_simulated_times_are_refused_without_smoke():
    with pytest.raises(SystemExit, match="say nothing about a GPU"):
        command.main(["--device", "cuda-sim", "ceilings"])
    with pytest.raises(SystemExit):
        command.main([*SMOKE, "no_such_group"])


def test_a_group_that_fails_is_said_and_the_next_one_runs(monkeypatch, capsys):
    monkeypatch.setitem(command.GROUPS, "ladder", lambda place, torch: 1 / 0)
    assert command.main([*SMOKE, "ladder", "softmax"]) == 1
    shown = capsys.readouterr().out
    assert "ladder: FAILED, ZeroDivisionError" in shown and "softmax(-1)" in shown


def test_a_short_float32_is_found():
    there = place.Place("cuda-sim", smoke=True)
    place.true_float32(there, None)
    there.array = lambda x: (x.astype("float16")).astype("float32")
    with pytest.raises(AssertionError, match="is it TF32"):
        place.true_float32(there, None)


# A session -----------------------------------------------------------------------------------------------------------


def outcomes(folder):
    return [(o["case"], o["outcome"]) for o in gpu_session.lines(folder / "cases.jsonl")]


def session(folder, cases, *options):
    assert gpu_session.main(["--out", str(folder), *options], cases) == 0
    return outcomes(folder)


WELL = Case("well", python("print('done')"))
FAILS = Case("fails", python("raise ValueError('a reason')"))
HANGS = Case("hangs", python("import time; time.sleep(100)"), box=0.5)


def test_what_fails_or_hangs_is_noted_and_the_next_runs(tmp_path, capsys):
    lacks = Case("lacks", ["no-such-program"], needs="no-such-program")
    found = session(tmp_path, [HANGS, FAILS, lacks, WELL], "--budget", "60")
    assert found == [("hangs", "too long"), ("fails", "failed"), ("lacks", "missing"), ("well", "passed")]
    assert "ValueError: a reason" in (tmp_path / "summary.txt").read_text()
    assert "not measured  float32 product" in capsys.readouterr().out


def test_a_session_goes_on_where_it_stopped(tmp_path):
    assert session(tmp_path, [WELL, FAILS], "--budget", "60", "--only", "well") == [("well", "passed")]
    assert session(tmp_path, [WELL, FAILS], "--budget", "60") == [("well", "passed"), ("fails", "failed")]
    assert len(session(tmp_path, [WELL, FAILS], "--budget", "60")) == 2, "nothing is left to do"
    assert session(tmp_path, [WELL, FAILS], "--budget", "60", "--again")[2:] == [("fails", "failed")]


def test_no_case_begins_behind_the_budget(tmp_path):
    assert session(tmp_path, [WELL], "--budget", "0") == []


STOPPED = """
import sys
from benchmarks.gpu_session import Case, main
row = 'import json, time; open("{rows}", "a").write(json.dumps({"values": {"group": "g", "row": "r", "unit": "us", "ours": 1}, "facts": {}}) + chr(10) + chr(123)); print("begun", flush=True); time.sleep(100)'
main(["--out", sys.argv[1]], [Case("first", [sys.executable, "-c", "pass"]), Case("second", [sys.executable, "-c", row])])
"""  # noqa: E501


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_loses_the_running_case_only(tmp_path, how):
    process = subprocess.Popen([sys.executable, "-c", STOPPED, str(tmp_path)], start_new_session=True)
    log = tmp_path / "second.log"
    until = time.monotonic() + 60
    while not (log.exists() and "begun" in log.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, how)
    process.wait(30)
    assert outcomes(tmp_path) == [("first", "passed")]
    rows, _ = summary.rows_of(gpu_session.lines(Session(tmp_path).rows))
    assert [row.row for row in rows] == ["r"], "the row that was taken is kept, the line that was cut is not"
    assert session(tmp_path, [WELL, Case("second", python("pass"))], "--budget", "60")[1:] == [
        ("well", "passed"),
        ("second", "passed"),
    ]


def test_the_cases_are_commands_that_exist():
    names = [case.name for case in gpu_session.cases()]
    assert len(set(names)) == len(names) and sum(c.box for c in gpu_session.cases()) < 3000
    parts = [part for case in gpu_session.cases() for part in case.command]
    groups = {word.partition(":")[0] for word in parts} & set(command.GROUPS)
    assert groups == set(command.GROUPS), "groups that no case measures"
    tests = [p for p in parts if p.startswith("tests/ops/")]
    assert len(tests) == len(list((gpu_session.ROOT / "tests" / "ops").glob("test_*.py")))


# The summary ---------------------------------------------------------------------------------------------------------


def test_targets_are_judged_by_their_worst_row():
    target = summary.Target("shares", summary.share, least=0.85)
    rows = [Row("memory-bound", f"{n}, 64 MiB", "us", 1, share=s) for n, s in (("add", 0.9), ("sum", 0.7))]
    assert target.judge(rows) == (0.7, "sum, 64 MiB", "missed")
    assert target.judge(rows[:1])[2] == "reached" and target.judge([])[2] == "not measured"


def test_each_target_has_its_rows():
    rung = next(t for t in summary.targets() if "float32 product" in t.text)
    name = list(matmul_rungs("float32"))[-2]
    rows = {
        "float32 product": Row("ladder", f"{name} float32 4096^3", "us", 10, others={"cuBLAS": 9}),
        "product, mma": Row("ladder", "mma bfloat16 4096^3", "us", 10, others={"cuBLAS": 6}),
        "product, wgmma": Row("ladder", "wgmma bfloat16 4096^3", "us", 10, others={"cuBLAS": 9}),
        "attention": Row("attention", "attention bfloat16 x", "us", 13, others={"torch, FLASH_ATTENTION": 10}),
        "host time": Row("ceilings", "launch: nothing, our launcher", "us", 2),
        "training steps": Row("step", "MLP", "ms", 1, ratio=1.1),
        "small nets": Row("step", "small net, captured", "ms", 1, ratio=6),
        "memory-bound": Row("memory-bound", "add, 64 MiB", "us", 1, share=0.9),
    }
    assert rung.judge(list(rows.values()))[0] == pytest.approx(0.9)
    for target in summary.targets():
        verdict = target.judge(list(rows.values()))
        assert verdict[2] == "reached", (target.text, verdict)
        word = next(w for w in rows if w in target.text)
        assert target.judge([row for key, row in rows.items() if key != word])[2] == "not measured"


def test_the_summary_of_what_lies_there(tmp_path):
    found = Session(tmp_path)
    row = Row("memory-bound", "add, 64 MiB", "us", 1, share=0.9, note="x")
    command.append(found.rows, row, table.facts() | {"device": "a card"})
    with open(found.rows, "a", encoding="utf-8") as file:
        for name, seen in (("first", True), ("second", False)):
            file.write(json.dumps({"mutant": name, "kind": "race", "tool": "racecheck", "found": seen}) + "\n")
    text = summary.write(found)
    assert "reached       memory-bound ops" in text and "reports 1 of 2" in text and "not reported: second" in text
    assert table.read(tmp_path / "rows.csv")[1]["device"] == "a card"


# The mutants ---------------------------------------------------------------------------------------------------------


def test_each_mutant_has_a_tool_and_can_be_planted(tmp_path, monkeypatch):
    assert {kind for *_, kind in MUTANTS} <= set(mutants_there.TOOLS)
    monkeypatch.setattr(mutants_there.build, "kernel_folder", mutants_there.build.kernel_folder)
    before = mutants_there.build.kernel_folder()
    _, file, text, replacement, *_ = MUTANTS[0]
    mutants_there.plant(file, text, replacement, tmp_path)
    assert (tmp_path / file).read_text() != (before / file).read_text()
    assert mutants_there.build.kernel_folder() == tmp_path


def test_verdicts_are_those_of_the_tool(tmp_path, monkeypatch):
    """A tool that sees races only."""
    tool = tmp_path / "compute-sanitizer"
    tool.write_text('#!/bin/sh\ncase "$2" in racecheck) exit 9;; *) exit 0;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    mutants_there.main(["--lines", str(tmp_path / "lines")])
    found = {line["mutant"]: line for line in gpu_session.lines(tmp_path / "lines")}
    assert len(found) == len(MUTANTS)
    assert all(line["found"] == (line["tool"] == "racecheck") for line in found.values())
