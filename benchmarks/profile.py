"""profile: `python -m benchmarks profile GPT` tells where the time of a workload goes, kernel by kernel.

Every kernel call of some eager steps is timed; what remains is Python, the walk, and array work outside of kernels.
`GB/s` counts each array argument once; it says how far a kernel that only moves data is from the measured bandwidth.
"""

import argparse
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

import minigrad as mg
from benchmarks.workloads import INFERENCE, TRAINING, Workload, twins
from minigrad.backend.array import Arrays
from minigrad.kernel import Kernel, forget_choices


@dataclass
class Share:
    """What one kernel used in all its calls."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument("workload", help="the first training or inference workload whose name holds this text")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args(arguments)
    workload = next((w for w in (*TRAINING, *INFERENCE) if args.workload.lower() in w.name.lower()), None)
    if workload is None:
        parser.error(f"no workload has {args.workload!r} in its name")
    print(workload.name)
    shares, seconds = profile(call_of(workload), args.steps)
    for line in lines(shares, seconds, args.steps):
        print(line)
    return 0


def call_of(workload):
    """A step, or a pass without gradients."""
    model, arrays = twins(workload, None)[0], workload.inputs(np.random.default_rng(0))
    if isinstance(workload, Workload):
        return workload.step(mg, model, arrays)
    with mg.no_grad():
        return mg.no_grad()(workload.call(mg, model, arrays))


def profile(call, steps):
    """Kernel -> Share over so many calls, and the seconds of all of them."""
    call()
    shares = defaultdict(Share)
    with timed_kernels(shares):
        call()
        shares.clear()
        start = time.perf_counter()
        for _ in range(steps):
            call()
        return dict(shares), time.perf_counter() - start


@contextmanager
def timed_kernels(shares):
    """Inside the block every kernel's body notes its time."""
    choose = Kernel.choose

    def chosen(kernel, array):
        body = timed(choose(kernel, array), shares, kernel.name)
        kernel.bodies[type(array), array.dtype] = body
        return body

    Kernel.choose = chosen
    forget_choices()
    try:
        yield
    finally:
        Kernel.choose = choose
        forget_choices()


def timed(body, shares, name):
    def call(*args):
        start = time.perf_counter()
        body(*args)
        share = shares[name]
        share.seconds += time.perf_counter() - start
        share.calls += 1
        share.bytes += sum(map(_bytes, args))

    return call


def _bytes(argument):
    if isinstance(argument, Arrays):
        return sum(map(_bytes, argument))
    return argument.nbytes if isinstance(argument, np.ndarray) else 0


def lines(shares, seconds, steps):
    """The table, the dearest first; times per step."""
    yield f"{'kernel':32} {'calls':>6} {'us':>10} {'share':>6} {'GB/s':>7}"
    for name, s in sorted(shares.items(), key=lambda item: -item[1].seconds):
        rate = s.bytes / s.seconds / 1e9
        yield f"{name:32} {s.calls / steps:6.0f} {s.seconds / steps * 1e6:10.1f} {s.seconds / seconds:6.1%} {rate:7.1f}"
    rest = seconds - sum(s.seconds for s in shares.values())
    yield f"{'Python and the rest':32} {'':6} {rest / steps * 1e6:10.1f} {rest / seconds:6.1%}"
