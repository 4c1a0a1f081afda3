"""memory: the peak of each workload, each side in a process of its own that imports nothing of the other.

"growth" is how much the resident set grew from after the imports to its peak; "whole process" is the peak itself. Our
own count of buffers in use (`minigrad.memory_stats()["peak"]`) is the row's note.

    python -m benchmarks.memory minigrad 0        run training workload 0 and print its figures as JSON
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.measure import Row

MB = 2**20


def rows(torch):
    from benchmarks import measure
    from benchmarks.workloads import INFERENCE, TRAINING

    for i, workload in enumerate([*TRAINING, *INFERENCE]):
        if not measure.effort.quick or i == 0:
            yield from workload_rows(i, workload.name, torch)


def workload_rows(i, name, torch):
    ours, theirs = child("minigrad", i), child("torch", i) if torch else None
    for what, label in (("growth", "growth"), ("peak", "whole process")):
        row = Row("memory", f"{name}: {label}", "MB", ours[what] / MB)
        row.note = f"{ours['pool'] / MB:.1f} MB in buffers"
        if theirs:
            row.rival, row.theirs = "torch, 2 threads", theirs[what] / MB
            row.ratio = theirs[what] / max(ours[what], 1)
        yield row


def child(framework, i):
    """The figures of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", framework, str(i)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# In the child --------------------------------------------------------------------------------------------------------


def resident(field="VmRSS"):
    """Bytes of this process: VmRSS now, VmHWM at its peak."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def forget_peak():
    """Let the system's record of the peak start anew."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def run(framework, i):
    """Three steps of a workload; how far the resident set grew."""
    import importlib

    from benchmarks.workloads import INFERENCE, TRAINING, Workload

    fw = importlib.import_module(framework)
    workload = [*TRAINING, *INFERENCE][i]
    arrays = workload.inputs(np.random.default_rng(0))
    forget_peak()
    before = resident()
    model = workload.build(fw)
    if isinstance(workload, Workload):
        call = workload.step(fw, model, arrays)
    else:
        fw.set_grad_enabled(False)
        call = workload.call(fw, model, arrays)
    for _ in range(3):
        call()
    peak = resident("VmHWM")
    pool = fw.memory_stats().get("peak", 0) if framework == "minigrad" else 0
    return {"growth": peak - before, "peak": peak, "pool": pool}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
