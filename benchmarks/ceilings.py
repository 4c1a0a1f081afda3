"""ceilings: what this machine can do at best, measured, and the floors that follow for the time of a piece of work.

    multiply-adds      float32 operations per second from registers, for each instruction set and number of threads
    read, copy         bytes per second where the data lies in L1, L2, L3 or memory; a copy counts both ways
    call               what it costs to call the extension at all

Reading order: `rows`, `measured` and `Ceilings`, `kernel_work` and `step_work`, which turn counts into floors.
"""

import functools
import time
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path

import numpy as np

import minigrad as mg
from benchmarks import measure
from benchmarks.measure import Row, Work, contest, quartiles
from minigrad.backend import cpu

USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}  # where the system does not tell
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def rows(torch):
    """Every ceiling, with one thread and with all; `torch` is not asked."""
    for module in modules():
        for threads in sorted({1, mg.get_num_threads()}):
            with using(module, threads):
                yield from rates(module, f"{threads} thread{'s'[: threads > 1]}, {module.isa}")
    if cpu.kernels():
        x, relu = np.ones(8, np.float32), cpu.kernels()["relu_forward"]
        yield from contest("ceilings", "call of a kernel, 8 elements", {"": lambda: relu(x, x)})


def rates(module, where):
    yield row(f"multiply-add, {where}", "GFLOP/s", fma_attempts(module))
    if module is cpu._module:
        for place, (_, size) in places(module.get_num_threads()).items():
            for kind in ("read", "copy"):
                yield row(f"{kind} in {place}, {where}", "GB/s", bandwidth_attempts(module, kind, size))


def row(name, unit, found):
    low, _, high = quartiles(found)
    return Row("ceilings", name, unit, max(found) / 1e9, low / 1e9, high / 1e9, note="the best attempt")


def modules():
    """The extension modules that this processor can run; the one in use is the last."""
    flags = cpu.cpu_flags()
    able = [isa for isa, needs in cpu.ISAS.items() if all(flags.get(need) for need in needs)]
    found = [cpu._load(isa)[0] for isa in able if isa != cpu.isa()] if cpu.kernels() else []
    return [m for m in [*found, cpu._module] if m is not None]


@contextmanager
def using(module, threads):
    """So many threads within the block."""
    before = module.get_num_threads()
    module.set_num_threads(threads)
    try:
        yield
    finally:
        module.set_num_threads(before)


# Attempts ------------------------------------------------------------------------------------------------------------


def cache_sizes():
    """Level -> bytes, of the data caches that a core sees."""
    found = {}
    for index in CACHES.glob("index*") if CACHES.exists() else ():
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.removesuffix("K")) << 10
    return {**USUAL, **found}


def places(threads):
    """Where data may lie -> (the most bytes that fit, bytes to measure with). L3 is shared, L1 and L2 are not."""
    size = cache_sizes()
    own = {level: (threads * size[level], threads * size[level] * 5 // 8) for level in ("L1", "L2")}
    return {**own, "L3": (size["L3"], size["L3"] // 4), "memory": (inf, max(4 * size["L3"], 64 << 20))}


def attempts(rate, count):
    """The rates of several attempts. The ceiling is the best: what others do meanwhile lowers it for none but them."""
    found = []
    for _ in range(2 if measure.effort.quick else count):
        time.sleep(0 if measure.effort.quick else 0.002)
        found += [rate(), rate()]
    return found


def fma_attempts(module):
    return attempts(lambda: module.fma_rate(1000 if measure.effort.quick else 20000), 15)


def bandwidth_attempts(module, kind, size):
    """Read or copy `size` bytes, about a millisecond each."""
    repeats = max(1, int(5e7 // size))
    return attempts(lambda: getattr(module, f"{kind}_rate")(int(size), repeats), 15 if repeats > 1 else 5)


# Floors --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ceilings:
    """The best rates: operations per second, and for each place (the most bytes that fit, bytes per second)."""

    flops: float
    bandwidths: tuple

    def bandwidth(self, size):
        """Of data of so many bytes, in the smallest place that holds them."""
        return next(rate for limit, rate in self.bandwidths if size <= limit)


@functools.lru_cache
def measured(threads):
    """The Ceilings of the module in use with so many threads; None without the extension."""
    module = cpu._module
    if module is None:
        return None
    with using(module, threads):
        found = [
            (limit, max(max(bandwidth_attempts(module, kind, size)) for kind in ("read", "copy")))
            for limit, size in places(threads).values()
        ]
        return Ceilings(max(fma_attempts(module)), tuple(found))


def kernel_work(flops=0, bytes=0):
    """Work of one op, which may move and compute at the same time: its floor is the longer of the two."""
    return _work(flops, bytes, max)


def step_work(flops, bytes):
    """Work of a step, whose updates wait for its products: its floor is the two one after the other."""
    return _work(flops, bytes, lambda *both: sum(both))


def _work(flops, bytes, join):
    best = measure.device.ceilings if measure.device else measured(mg.get_num_threads())
    floor = join(flops / best.flops, bytes / best.bandwidth(bytes)) if best else nan
    return Work(flops or nan, bytes or nan, floor)
