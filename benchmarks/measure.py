"""measure: how a figure is taken, so that it can be trusted on a noisy machine.

The contenders of a row take turns in short bursts. Each burst begins with a pause, in which the threads of the one
before fall asleep, and with a call that is not timed; it gives one time per call. A row reports the median and the
quartiles of our bursts, the medians of the rivals', and the median of the ratios taken round by round, so that a slow
minute hits both sides alike. `load` is how many cores other processes kept busy meanwhile.

Reading order: `Row`, `burst`, `contest`, `Foreign`.
"""

import os
import statistics
import time
from dataclasses import dataclass, field
from math import nan

SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass
class Row:
    """One line of the table. `ours`, `low`, `high` and `theirs` count in `unit`; a ratio above 1 is in our favour."""

    group: str
    row: str
    unit: str
    ours: float
    low: float = nan
    high: float = nan
    rival: str = ""  # the opponent: PyTorch eager at its better number of threads
    theirs: float = nan
    ratio: float = nan
    flops: float = nan
    bytes: float = nan
    floor: float = nan  # what the measured ceilings allow
    share: float = nan  # floor / ours
    load: float = nan
    others: dict = field(default_factory=dict)  # every rival's median
    note: str = ""


@dataclass(frozen=True)
class Work:
    """What a call must do at least: operations, bytes that must move, the seconds that the ceilings allow."""

    flops: float = nan
    bytes: float = nan
    floor: float = nan


@dataclass(frozen=True)
class Effort:
    """How long to look: seconds of a burst, the fewest and the most rounds, seconds for all rounds of a row."""

    burst: float
    least: int
    most: int
    total: float
    quick: bool = False


device = None  # a benchmarks.gpu.place.Place, while figures are taken there
FULL, QUICK = Effort(0.008, 5, 31, 4.0), Effort(0.0005, 2, 2, 0.0, quick=True)
effort = FULL


def set_effort(new):
    """Measure with this effort from now on; returns the one before."""
    global effort
    effort, before = new, effort
    return before


@dataclass(frozen=True)
class Contender:
    """Something to time, and what must be set before its turn (a number of threads)."""

    call: object
    prepare: object = lambda: None


def burst(contender):
    """Seconds per call over a burst of about `effort.burst`, or over one call where that takes longer."""
    call = contender.call
    contender.prepare()
    time.sleep(0 if effort.quick else 0.005)
    start = time.perf_counter()
    call()
    if time.perf_counter() - start < effort.burst:
        start = time.perf_counter()
        call()
    calls, now = 1, time.perf_counter()
    while now - start < effort.burst:
        call()
        calls += 1
        now = time.perf_counter()
    return (now - start) / calls


def rounds(contenders, seconds):
    """Name -> seconds per call, one for each round of bursts; rounds for about so many seconds."""
    times = {name: [] for name in contenders}
    for contender in contenders.values():
        burst(contender)
    end = time.perf_counter() + min(seconds, effort.total)
    done = 0
    while done < effort.least or (done < effort.most and time.perf_counter() < end):
        for name, contender in contenders.items():
            times[name].append(burst(contender))
        done += 1
    return times


def contest(group, name, ours, rivals=None, unit="us", work=None, seconds=4.0):
    """Time our contenders (label -> call) against the rivals (name -> call or Contender): one Row for each of ours."""
    if device:
        return device.contest(group, name, ours, rivals, unit, work)
    keys = {**{("ours", label): call for label, call in ours.items()}, **(rivals or {})}
    contenders = {k: c if isinstance(c, Contender) else Contender(c) for k, c in keys.items()}
    with Foreign() as foreign:
        times = rounds(contenders, seconds)
    theirs = {k: times[k] for k in rivals or {}}
    rows = [row_of(group, name + label, unit, times["ours", label], theirs, work) for label in ours]
    for row in rows:
        row.load = foreign.cores
    return rows


def row_of(group, name, unit, ours, theirs=None, work=None):
    """A Row from the seconds of all rounds: ours, and those of each rival by name."""
    scale = SCALES[unit]
    low, median, high = (scale * t for t in quartiles(ours))
    row = Row(group, name, unit, median, low, high)
    if work:
        row.flops, row.bytes, row.floor = work.flops, work.bytes, work.floor * scale
        row.share = row.floor / row.ours
    row.others = {rival: scale * statistics.median(t) for rival, t in (theirs or {}).items()}
    if row.others:
        row.rival = min([r for r in row.others if r.startswith("torch, ")] or row.others, key=row.others.get)
        row.theirs = row.others[row.rival]
        row.ratio = statistics.median(t / o for t, o in zip(theirs[row.rival], ours, strict=True))
    return row


def quartiles(times):
    return statistics.quantiles(times * 2 if len(times) < 2 else times, n=4, method="inclusive")


class Foreign:
    """How many cores other processes keep busy within the block: `cores`, nan where the system does not tell.

    Children that run on, such as a busy process started on purpose, count as foreign.
    """

    def __enter__(self):
        self.busy, self.own, self.start = _busy_seconds(), sum(os.times()[:4]), time.perf_counter()
        self.cores = nan
        return self

    def __exit__(self, *error):
        busy, own = _busy_seconds() - self.busy, sum(os.times()[:4]) - self.own
        self.cores = max(0.0, busy - own) / (time.perf_counter() - self.start) if busy == busy else nan


def _busy_seconds():
    """Seconds that all cores together spent neither idle nor waiting since the start of the machine."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return nan
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
