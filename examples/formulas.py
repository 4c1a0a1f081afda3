"""Prints every formula and number of five documents next to what the framework computes, and says which are right.

    python examples/formulas.py                       the whole table
    python examples/formulas.py --document 002        one document (000 to 004, or mazur)
    python examples/formulas.py --id 001-4.1.2-adam   the entries whose id starts so, with all their values
    python examples/formulas.py --json                the same for machines

The verdict on a printed number comes from comparing it with the computed one; that on a formula, from trying it in the
situations where it should hold.
The exit code is 1 if a computed value or a verdict differs from the expected one, and 2 if nothing is selected.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from worked import ENTRIES, differences, explains, same, verdict

DATA = Path(__file__).parent / "data" / "worked_examples.json"
COLUMNS = ("id", "document", "section", "printed", "computed", "verdict", "why")
WIDEST = 34


def load(path: Path) -> list[dict]:
    """The entries of the documents, then the errata."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    return data["entries"] + data["errata"]


def examine(entry: dict) -> dict:
    """One row of the table: what the framework computes for the entry, the verdict, and every difference."""
    finding = ENTRIES[entry["id"]](**entry["inputs"])
    row = {
        name: entry.get(name) for name in ("id", "document", "section", "title", "kind", "formula", "printed", "why")
    }
    row |= {"computed": finding.values, "verdict": verdict(entry, finding), **printed_number(entry, finding.values)}
    row["cases"] = {case.when: same(case.states, case.right) for case in finding.cases}
    return row | {"differences": list(faults(entry, row))}


def faults(entry: dict, row: dict) -> Iterator[str]:
    """Every way in which the row is not what the data file expects."""
    yield from differences(row["computed"], entry["expected"])
    if row["verdict"] != entry["verdict"]:
        yield f"verdict: found {row['verdict']}, expected {entry['verdict']}"
    if row.get("explained") is False:
        yield f"explained_by: the reading {entry['explained_by']['reading']} does not give the printed number"


def printed_number(entry: dict, values: dict) -> dict:
    """Whether the printed number is what the whole example gives, and how it came about."""
    if entry["kind"] != "numeric":
        return {}
    explained = entry.get("explained_by", {})
    row = {"survives": same(entry["printed"], values["consistent"]), "explained_by": explained.get("words")}
    if "reading" in explained:
        row["explained"] = explains(values["readings"][explained["reading"]], entry["printed"])
    return row


def short(value, width: int = WIDEST) -> str:
    """A value on one line, cut at `width`: twelve digits, no quotes, no minus zero."""
    if isinstance(value, float):
        return f"{value + 0.0:.12g}"
    if isinstance(value, dict):
        text = ", ".join(f"{name} {short(item, width)}" for name, item in value.items())
    elif isinstance(value, list):
        text = "[" + ", ".join(short(item, width) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def cells(row: dict) -> list[str]:
    """The row as the table shows it."""
    printed = {"numeric": row["printed"], "formula": "a formula", "described": "words", "derived": "a listing"}
    values = row["computed"]
    shown = {
        "printed": printed.get(row["kind"], "an example"),
        "computed": values["computed"] if row["kind"] == "numeric" else next(iter(values.values())),
    }
    return [short(shown.get(name, row[name]), 999 if name in ("id", "why") else WIDEST) for name in COLUMNS]


def table(rows: list[dict]) -> str:
    lines = [list(COLUMNS), *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def details(row: dict) -> str:
    """Everything that was computed for one entry."""
    lines = [f"\n{row['id']}: {row['title']}", *([f"  formula: {row['formula']}"] if row["formula"] else [])]
    lines += [f"  {name} = {short(value, 9999)}" for name, value in row["computed"].items()]
    lines += [f"  {'holds' if holds else 'fails'}: {when}" for when, holds in row["cases"].items()]
    if row.get("explained_by"):
        lines.append(f"  printed because {row['explained_by']}")
    return "\n".join(lines)


def summary(rows: list[dict]) -> str:
    counts = Counter(row["verdict"] for row in rows)
    wrong = [f"{row['id']}: {line}" for row in rows for line in row["differences"]]
    lines = ["", f"{len(rows)} entries: " + ", ".join(f"{number} {name}" for name, number in counts.most_common())]
    lines += wrong or ["every computed value is the expected one"]
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Worked examples, printed and computed.")
    parser.add_argument("--id", default="", help="only the entries whose id starts with this, with all their values")
    parser.add_argument("--document", default="", help="only this document: 000 to 004, or mazur")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--data", type=Path, default=DATA, help="the file with inputs and expected values")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    chosen = [e for e in load(options.data) if e["id"].startswith(options.id)]
    rows = [examine(entry) for entry in chosen if options.document in ("", entry["document"])]
    if not rows:
        print("[formulas] no entry selected, expected an id or a document of the table", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(table(rows), *(details(row) for row in rows if options.id), summary(rows), sep="\n")
    return int(any(row["differences"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
