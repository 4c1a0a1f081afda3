"""table: rows on the screen and in CSV files, with the facts without which a figure is worth nothing."""

import csv
import datetime
import os
import platform
import subprocess
from dataclasses import fields
from math import nan

from benchmarks.measure import Row

PLAIN = [f.name for f in fields(Row) if f.name != "others"]
FACTS = ["device", "isa", "threads", "torch version", "numpy version", "date", "commit"]


def facts():
    """Device, instruction set, threads, versions, date and commit."""
    import minigrad
    from minigrad.backend import cpu

    return {
        "device": f"{_processor()}, {os.cpu_count()} cores",
        "isa": cpu.isa() or "numpy",
        "threads": minigrad.get_num_threads(),
        "torch version": _version("torch"),
        "numpy version": _version("numpy"),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def _version(name):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _commit():
    command = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def show(row):
    """One line: ours with its quartiles, the opponent, the ratio, and how near the ceiling we are."""
    spread = f"[{row.low:.4g} .. {row.high:.4g}]" if row.low == row.low else ""
    versus = f"{row.rival} {row.theirs:.4g}" if row.rival else ""
    ratio = f"x{row.ratio:.2f}" if row.ratio == row.ratio else ""
    floor = f"floor {row.floor:.4g} = {row.share:.0%}" if row.floor == row.floor else ""
    ours = f"{row.ours:.4g} {row.unit}"
    print(f"{row.group:10} {row.row:50} {ours:>12} {spread:20} {versus:26} {ratio:7} {floor} {_rates(row)}", flush=True)


def _rates(row):
    seconds = row.ours / {"us": 1e6, "ms": 1e3}.get(row.unit, 1.0)
    rates = [f"{row.flops / seconds / 1e9:.3g} GFLOP/s"] if row.flops > 0 else []
    return ", ".join(rates + ([f"{row.bytes / seconds / 1e9:.3g} GB/s"] if row.bytes > 0 else []))


def write(rows, path, known=None):
    """All rows as CSV, with the facts (those of now if none are given) in every line."""
    known = known or facts()
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*PLAIN, *dict.fromkeys(r for row in rows for r in row.others), *FACTS])
        table.writeheader()
        for row in rows:
            values = {**{name: getattr(row, name) for name in PLAIN}, **row.others}
            table.writerow({**{k: _text(v) for k, v in values.items()}, **known})


def _text(value):
    return value if isinstance(value, str) else "" if value != value else f"{value:.4g}"


def read(path):
    """The rows of a CSV file, and the facts of its first line."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return [_row(line) for line in lines], {name: lines[0][name] for name in FACTS} if lines else {}


def _row(line):
    plain = {f.name: line[f.name] if f.type is str else float(line[f.name] or nan) for f in fields(Row)[:-2]}
    others = {name: float(v) for name, v in line.items() if name not in {*PLAIN, *FACTS} and v}
    return Row(**plain, others=others, note=line["note"])
