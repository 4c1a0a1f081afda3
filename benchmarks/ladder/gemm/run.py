"""run: compile the steps of the ladder, check each against numpy, time them in turn and print a table.

    python -m benchmarks.ladder.gemm.run [--quick]

Every step is one C++ file that exports `multiply(c, a, b, m, n, k)`, compiled with the same flags for this very
machine; the last rows are minigrad's own product and PyTorch's. All run on one thread and are timed by what that thread
used, so that other processes do not count; a rate is that of the best burst. The share is of the multiply-adds that a
core can do from registers.
"""

import argparse
import ctypes
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minigrad as mg
from benchmarks import ceilings
from minigrad.backend import cpu

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
STEPS = {  # name -> what is compiled, with what
    "naive": ("naive.cpp",),
    "loop order": ("loop_order.cpp",),
    "cache blocks": ("cache_blocks.cpp",),
    "register tile": ("register_tile.cpp",),
    "packed": ("packed.cpp",),
    "micro-kernel 6x16": ("micro_kernel.cpp",),
    "rejected: 4x24": ("micro_kernel.cpp", "-DROWS=4", "-DVECTORS=3"),
    "rejected: 8x8": ("micro_kernel.cpp", "-DROWS=8", "-DVECTORS=1"),
}
SHAPES = [(64, 256, 784), (512, 512, 512), (1024, 1024, 1024)]
POINTER, LONG = ctypes.POINTER(ctypes.c_float), ctypes.c_long


def compiler():
    """The C++ compiler as a list of words, or None."""
    words = shlex.split(os.environ.get("CXX", "c++"))
    return words if shutil.which(words[0]) else None


def compiled(step, folder):
    """The step's function, from a shared library made in `folder`."""
    source, *defines = STEPS[step]
    library = Path(folder) / f"{step.replace(' ', '_').replace(':', '')}.so"
    subprocess.run([*compiler(), *FLAGS, *defines, str(HERE / source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).multiply
    function.argtypes, function.restype = [POINTER] * 3 + [LONG] * 3, None
    return function


def operands(m, n, k):
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)


def call_of(function, a, b):
    """The step on these matrices: a function without arguments that gives c."""
    c = np.full((len(a), b.shape[1]), np.nan, np.float32)
    pointers = [x.ctypes.data_as(POINTER) for x in (c, a, b)]

    def call():
        function(*pointers, *c.shape, a.shape[1])
        return c

    return call


def check(call, a, b):
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = np.abs(call() - exact).max() / np.abs(exact).max()
    assert error < 1e-5, f"the product is wrong: relative error {error:.1e}"


def rivals(x, y):
    """minigrad, the last step of the ladder, and PyTorch where it is installed; both with one thread."""
    found = {"minigrad": lambda: (x @ y).array}
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    a, b = torch.from_numpy(x.numpy()), torch.from_numpy(y.numpy())
    return found | {"PyTorch": lambda: (a @ b).numpy()}


def rates(functions, m, n, k, rounds):
    """Name -> GFLOP/s of every step on one shape, each checked first: the best of the bursts, taken in turn."""
    a, b = operands(m, n, k)
    calls = {name: call_of(f, a, b) for name, f in functions.items()} | rivals(mg.from_numpy(a), mg.from_numpy(b))
    for call in calls.values():
        check(call, a, b)
    seconds = dict.fromkeys(calls, math.inf)
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name] = min(seconds[name], burst(call))
    return {name: 2e-9 * m * n * k / t for name, t in seconds.items()}


def burst(call, least=0.005):
    """Seconds of this thread per call, over at least so many of them."""
    calls, start = 0, time.thread_time()
    while not calls or time.thread_time() - start < least:
        call()
        calls += 1
    return (time.thread_time() - start) / calls


def ceiling():
    """GFLOP/s of one thread from registers; nan without the extension."""
    return max(ceilings.fma_attempts(cpu._module)) / 1e9 if cpu._module else math.nan


def table(shapes, rounds):
    """Lines of a Markdown table: a row for each step, GFLOP/s and the share of the ceiling for each shape."""
    threads = mg.get_num_threads()
    mg.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            functions = {step: compiled(step, folder) for step in STEPS}
            columns = [rates(functions, *shape, rounds) for shape in shapes]
        best = ceiling()
    finally:
        mg.set_num_threads(threads)
    titles = [f"{m} x {n} x {k}" for m, n, k in shapes]
    yield f"ceiling of one thread: {best:.1f} GFLOP/s\n"
    yield f"| step | {' | '.join(titles)} |"
    yield f"|---|{'---:|' * len(shapes)}"
    for name in columns[0]:
        cells = [f"{c[name]:.2f} ({c[name] / best:.1%})" for c in columns]
        yield f"| {name} | {' | '.join(cells)} |"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small matrices, one round: a trial, no figures")
    args = parser.parse_args(arguments)
    if compiler() is None:
        print("no C++ compiler: set CXX")
        return 1
    for line in table([(37, 50, 29)], 1) if args.quick else table(SHAPES, 7):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
