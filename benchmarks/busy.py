"""busy: the MLP's step on the machine as it is, and beside one more process that never rests.

A framework that waits for all its threads waits for the slowest; one whose chunks are claimed does not.
"""

import contextlib
import subprocess
import sys
import time

import numpy as np

import minigrad as mg
from benchmarks import rivals, steps
from benchmarks.measure import contest
from benchmarks.workloads import TRAINING, twins


def rows(torch):
    yield from step_rows(torch, "as it is")
    with busy_process():
        yield from step_rows(torch, "with one foreign busy process")


def step_rows(torch, state):
    workload = TRAINING[0]
    model, twin = twins(workload, torch)
    arrays = workload.inputs(np.random.default_rng(0))
    ours = {"": workload.step(mg, model, arrays)}
    ours |= steps.captured(workload.name, lambda *how: workload.step(mg, twins(workload, None)[0], arrays, *how))
    theirs = rivals.eager(torch, workload.step(torch, twin, arrays)) if torch else {}
    return contest("busy", f"{workload.name}, {state}", ours, theirs, "ms")


@contextlib.contextmanager
def busy_process():
    """A process that counts for ever, within the block."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.1)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
