"""Every worked example of the documents, and the Mazur erratum, by the framework: values, verdicts, planted faults."""

import ast
import copy
import functools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))

import formulas  # noqa: E402
from worked import ENTRIES, differences, registry, same, verdict  # noqa: E402

DATA = json.loads(formulas.DATA.read_text(encoding="utf-8"))
BY_ID = {entry["id"]: entry for entry in DATA["entries"] + DATA["errata"]}
DOCUMENT_IDS = [entry["id"] for entry in DATA["entries"]]

VERDICTS = {
    ("numeric", "wrong in the document"): 24,
    ("numeric", "correct"): 13,
    ("formula", "correct"): 21,
    ("formula", "correct under a condition"): 10,
    ("formula", "wrong in the document"): 10,
    ("described", "no formula printed"): 12,
    ("described", "correct under a condition"): 2,
    ("described", "wrong in the document"): 1,
    ("described", "correct"): 1,
    ("derived", "no printed value"): 6,
    ("network", "reference computation"): 2,
}
SURVIVORS = {"000-4.2.2-relu", "000-4.3.2-dL-dyhat", "001-4.1.2-adam-m1", "001-4.1.2-adam-v1"}


@functools.cache
def row(name: str) -> dict:
    return formulas.examine(BY_ID[name])


@pytest.mark.parametrize("name", BY_ID)
def test_every_expected_value_is_computed(name):
    assert row(name)["differences"] == []


def test_no_entry_is_missing_or_extra():
    assert len(DOCUMENT_IDS) == len(set(DOCUMENT_IDS)) == 102
    assert set(ENTRIES) == set(BY_ID)
    assert all(name.startswith(entry["document"]) for name, entry in BY_ID.items())


def test_verdicts_are_counted():
    assert Counter((row(name)["kind"], row(name)["verdict"]) for name in DOCUMENT_IDS) == VERDICTS


def test_only_four_printed_numbers_survive_from_end_to_end():
    numeric = [name for name in DOCUMENT_IDS if BY_ID[name]["kind"] == "numeric"]
    assert len(numeric) == 37
    assert {name for name in numeric if row(name)["survives"]} == SURVIVORS


def test_most_wrong_numbers_are_explained_by_a_computed_reading():
    explained = [name for name in BY_ID if row(name).get("explained")]
    assert len(explained) == 18
    assert all(row(name)["verdict"] == "wrong in the document" for name in explained)


def leaves(value, path=()):
    """The path of every number and word in a nested structure."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, (*path, key))
    else:
        yield path


def spoiled(values: dict, path: tuple):
    """A copy with the leaf at `path` changed by a part in 10^9 (or a letter)."""
    result = copy.deepcopy(values)
    parent = functools.reduce(lambda item, key: item[key], path[:-1], result)
    leaf = parent[path[-1]]
    number = isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    parent[path[-1]] = leaf * (1 + 1e-9) + (leaf == 0) * 1e-9 if number else f"not {leaf}"
    return result


@pytest.mark.parametrize("name", BY_ID)
def test_a_fault_in_any_expected_value_is_found(name):
    expected = BY_ID[name]["expected"]
    for path in leaves(expected):
        found = list(differences(row(name)["computed"], spoiled(expected, path)))
        assert len(found) == 1 and str(path[0]) in found[0]


@pytest.mark.parametrize("name", ["000-4.2.1-sigmoid", "002-4.2-network-proper"])
def test_a_missing_and_an_extra_value_are_found(name):
    computed = row(name)["computed"]
    for first in computed:
        short = {key: value for key, value in computed.items() if key != first}
        assert [line.split(":")[0] for line in differences(short, computed)] == [first]
        assert [line.split(":")[0] for line in differences(computed, short)] == [first]


def test_a_wrong_computation_is_found(monkeypatch):
    right = ENTRIES["001-4.1.2-adam"]
    monkeypatch.setitem(ENTRIES, "001-4.1.2-adam", lambda eps, **rest: right(eps=1e-6, **rest))
    assert len(formulas.examine(BY_ID["001-4.1.2-adam"])["differences"]) == 2


@pytest.mark.parametrize(
    "printed, judged",
    [(0.125, "correct"), (0.12, "rounded"), (0.13, "wrong in the document"), (0.25, "wrong in the document")],
)
def test_the_verdict_on_a_number_is_computed(printed, judged):
    entry = BY_ID["000-4.1.2-mse"] | {"printed": printed, "verdict": "never read"}
    assert formulas.examine(entry)["verdict"] == judged


@pytest.mark.parametrize(
    "outcomes, judged",
    [
        ((1, 1), "correct"),
        ((1, 0), "correct under a condition"),
        ((0, 0), "wrong in the document"),
        ((), "no formula printed"),
    ],
)
def test_the_verdict_on_a_formula_is_computed(outcomes, judged):
    finding = registry.found([(f"case {i}", 1.0, float(holds)) for i, holds in enumerate(outcomes)])
    assert verdict({"kind": "described"}, finding) == judged


def test_a_number_is_the_same_within_twelve_digits():
    assert same(1 + 4e-12, 1.0) and not same(1 + 4e-11, 1.0)
    assert not same([1.0, 2.0], [1.0]) and not same(1.0, [1.0]) and not same("1", 1) and not same(True, 1)
    assert not same(float("nan"), float("nan"))


def test_an_id_cannot_be_registered_twice():
    with pytest.raises(ValueError, match=r"\[entry\] id 000-3.1.2-tanh is registered twice"):
        registry.entry("000-3.1.2-tanh")(lambda: None)


@pytest.mark.parametrize("path", sorted((EXAMPLES / "worked").glob("*.py")), ids=lambda path: path.name)
def test_no_result_is_written_into_the_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    numbers = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, (int, float))]
    assert [n for n in numbers if len(f"{n:g}".split("e")[0].replace(".", "").strip("0")) > 3] == []
    assert "worked_examples.json" not in ast.unparse(tree.body[1:])


def test_mazur_after_one_step():
    """The printed loss is that of the program which updates the output weights before the hidden deltas."""
    values = row("mazur-step-1")["computed"]
    assert values["computed"] == pytest.approx(0.29102777369, rel=2e-11)
    assert values["readings"]["output_weights_first"] == pytest.approx(0.29102792391, rel=2e-11)
    assert round(values["readings"]["output_weights_first"], 9) == 0.291027924 != round(values["computed"], 9)
    assert values["readings"]["biases_trained"] == pytest.approx(0.2804714, abs=5e-8)
    assert values["readings"]["layer_bias_trained"] == pytest.approx(0.2857509, abs=5e-8)


def test_mazur_after_ten_thousand_steps():
    values = row("mazur-step-10000")["computed"]
    faulty = values["readings"]["output_weights_first"]
    assert [round(value, 9) for value in faulty] == [0.000035085, 0.015912196, 0.984065734]
    assert [round(value, 10) for value in values["computed"][1:]] == [0.0159136204, 0.9840642735]
    assert round(values["computed"][0], 9) != 0.000035085
    assert round(values["readings"]["loss_one_step_earlier"], 10) == 0.0000351085


def test_the_program_reports_a_planted_fault(tmp_path, capsys):
    data = copy.deepcopy(DATA)
    entry = next(e for e in data["entries"] if e["id"] == "003-4.1-mse")
    entry["expected"]["value"] += 1e-9
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert formulas.main(["--document", "003"]) == 0
    assert formulas.main(["--document", "003", "--data", str(path)]) == 1
    assert "003-4.1-mse: value: computed 0.02" in capsys.readouterr().out


def test_the_program_filters_and_writes_json(capsys):
    assert formulas.main(["--id", "001-4.1.2-adam", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["id"] for r in rows] == [f"001-4.1.2-adam{end}" for end in ("", "-m1", "-v1", "-theta1")]
    assert rows[-1]["verdict"] == "wrong in the document"
    assert formulas.main(["--id", "nothing"]) == 2


def test_the_program_runs_as_a_script():
    command = [sys.executable, str(EXAMPLES / "formulas.py"), "--id", "000-4.2.1"]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "0.869" in result.stdout and "0.880797077978" in result.stdout
    assert "every computed value is the expected one" in result.stdout
