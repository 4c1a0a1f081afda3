"""measure: how a figure is taken, so that it can be trusted on a noisy machine.

The rivals of a row take turns in short bursts; each burst gives one time per call, and the row reports the median and
the quartiles of the bursts. Ratios are taken burst by burst, so a slow minute hits both sides alike.
"""

import csv
import datetime
import os
import platform
import statistics
import subprocess
import time
from dataclasses import dataclass, field

FIELDS = [
    "group",
    "row",
    "unit",
    "ours",
    "low",
    "high",
    "rival",
    "theirs",
    "ratio",
    "floor",
    "device",
    "threads",
    "load",
]
FIELDS += ["date", "commit"]


@dataclass
class Row:
    """One line of the table: our median and quartiles, the best rival's median, how many times as long it takes."""

    group: str
    row: str
    unit: str
    ours: float
    low: float
    high: float
    rival: str = ""
    theirs: float = float("nan")
    ratio: float = float("nan")
    floor: float = float("nan")
    facts: dict = field(default_factory=dict)


def burst(call, seconds=0.004):
    """Seconds per call over a burst of about `seconds`."""
    start = time.perf_counter()
    calls = 0
    while True:
        call()
        calls += 1
        now = time.perf_counter()
        if now - start >= seconds:
            return (now - start) / calls


def duel(group, row, ours, rivals, bursts=25, seconds=0.004, unit="us", floor=float("nan")):
    """Time `ours` and each of `rivals` (name -> callable) in turn; the rival with the best median is the opponent."""
    scale = {"us": 1e6, "ms": 1e3, "s": 1.0}[unit]
    contenders = {"minigrad": ours, **rivals}
    for call in contenders.values():
        burst(call, seconds)  # warm up
    times = {name: [] for name in contenders}
    for _ in range(bursts):
        for name, call in contenders.items():
            times[name].append(burst(call, seconds) * scale)
    low, median, high = statistics.quantiles(times["minigrad"], n=4)
    result = Row(group, row, unit, median, low, high, floor=floor)
    if rivals:
        best = min(rivals, key=lambda name: statistics.median(times[name]))
        result.rival, result.theirs = best, statistics.median(times[best])
        result.ratio = statistics.median(t / o for t, o in zip(times[best], times["minigrad"], strict=True))
    return result


def facts():
    """Device, load, date and commit: what a figure is worth without."""
    from minigrad import get_num_threads

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "device": f"{model}, {os.cpu_count()} cores",
        "threads": get_num_threads(),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": run("git", "rev-parse", "--short", "HEAD"),
    }


def _cpuinfo():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def show(row):
    versus = f"{row.rival} {row.theirs:9.2f}   x{row.ratio:5.2f}" if row.rival else ""
    floor = f"   floor {row.floor:.2f}" if row.floor == row.floor else ""
    spread = f"{row.ours:9.2f} [{row.low:.2f} .. {row.high:.2f}]"
    print(f"{row.group:10} {row.row:42} {spread:32} {row.unit}   {versus}{floor}", flush=True)


def write(rows, path):
    known = facts()
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        for row in rows:
            values = {name: getattr(row, name) for name in FIELDS if hasattr(row, name)}
            table.writerow({**{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}, **known})
