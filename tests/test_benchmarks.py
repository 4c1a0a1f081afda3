"""The benchmarks measure what they say: rows, ratios and files; no test asks how fast anything is."""

import csv
import time

import pytest

measure = pytest.importorskip("benchmarks.measure", reason="the benchmarks are not beside the tests")


def test_a_slower_rival_has_a_ratio_above_one(tmp_path):
    row = measure.duel("group", "row", lambda: None, {"slow": lambda: time.sleep(0.001)}, bursts=5, seconds=0.001)
    assert row.rival == "slow" and row.ratio > 1 and row.low <= row.ours <= row.high
    measure.write([row], tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert line["row"] == "row" and line["commit"] and line["device"]


def test_the_best_rival_is_the_opponent():
    rivals = {"slow": lambda: time.sleep(0.003), "fast": lambda: time.sleep(0.001)}
    assert measure.duel("group", "row", lambda: None, rivals, bursts=3, seconds=0.001).rival == "fast"


def test_without_torch_our_own_times_are_measured():
    from benchmarks import overhead

    rows = list(overhead.rows(None))
    assert len(rows) >= 4 and all(row.ours == row.ours for row in rows)
