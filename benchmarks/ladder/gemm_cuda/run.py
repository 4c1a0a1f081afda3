"""run: the rungs of the float32 product in CUDA, from the definition up (csrc/cuda/matmul.cu).

    python -m benchmarks.ladder.gemm_cuda.run [--arch 90] [--sizes 2048,4096]

Without a GPU it prints what is known of each rung without one, and no time. Registers, shared memory and occupancy are
those of the compiled kernel. The rest is counted by the simulator over one block of a product of 128 x 128 x 16, for
each multiply-add: bytes of global memory that reads move in whole sectors, caches aside; how often shared memory is
read; and how many passes over its banks such a read takes, 1 without conflicts. The simulator sees a read of four
elements as four, of the same sectors: of global memory that is undone.

On a GPU every rung is checked, then timed beside cuBLAS, in turns; TFLOP/s, and the share of cuBLAS's.
"""

import argparse
import statistics
import sys
from functools import cache
from typing import NamedTuple

import numpy as np

import minigrad as mg
from minigrad.cuda import budget
from minigrad.cuda.launches.matmul import DIRECTED, TILES
from minigrad.cuda.occupancy import occupancy
from minigrad.cuda.trace import SECTOR, tracing

SHAPE, THREADS, ROUNDS = (128, 128, 16), 256, 5  # of the watched product; of a block; of timings
FOURS = ("vectorized", "warp_tiled")  # read four elements at once


class Row(NamedTuple):
    """What is known of a rung without a GPU."""

    rung: str
    registers: int
    shared: int
    occupancy: float
    bytes: float  # of global memory moved, for each multiply-add
    reads: float  # of shared memory by a thread, for each multiply-add
    passes: float  # over the banks for each of them by a warp; nan without any reads
    improves: str


@cache
def ladder_rows(arch="90"):
    """A Row for each of our float32 rungs, from the plainest up; no GPU is asked."""
    return [row(rung, says, arch) for rung, says in mg.cuda.matmul_rungs(mg.float32).items() if rung != "cublas"]


def row(rung, improves, arch):
    entry = f"matmul_forward_{rung}" + ("_rows_rows" if rung in DIRECTED else "")
    taken = budget.read()[entry][1][arch]
    m, n, k = SHAPE
    a, b = mg.randn(m, k).to("cuda-sim"), mg.randn(k, n).to("cuda-sim")
    with mg.cuda.use_matmul(rung), mg.no_grad(), tracing(entry, block=0) as trace:
        a @ b
    costs = trace.costs()
    products = k * (TILES[rung] ** 2 if rung in TILES else THREADS)
    read = [c for c in costs if c.verb == "read"]
    shared = [c for c in read if c.kind == "shared"]
    often = sum(c.accesses for c in shared)
    return Row(
        rung, taken.registers, taken.shared, occupancy(arch, THREADS, taken.registers, taken.shared).share,
        sum(c.accesses * c.each for c in read if c.kind == "global") * SECTOR / (4 if rung in FOURS else 1) / products,
        32 * often / products,
        sum(c.accesses * c.each for c in shared) / often if often else np.nan, improves,
    )  # fmt: skip


def static_table(arch):
    """Lines of a Markdown table of `ladder_rows`."""
    yield f"sm_{arch}; nothing here was timed\n"
    yield "| rung | registers | shared bytes | occupancy | bytes | shared reads | passes | improves |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for r in ladder_rows(arch):
        figures = f"{r.registers} | {r.shared} | {r.occupancy:.0%} | {r.bytes:.3g} | {r.reads:.3g}"
        figures += f" | {r.passes:.3g}" if r.reads else " | -"
        yield f"| {r.rung} | {figures} | {r.improves} |"


# On a GPU ------------------------------------------------------------------------------------------------------------


def milliseconds(rung, a, b, times):
    """Of a product, by the GPU's own clock."""
    begin, end = mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True)
    with mg.cuda.use_matmul(rung), mg.no_grad():
        begin.record()
        for _ in range(times):
            a @ b
        end.record()
    end.synchronize()
    return begin.elapsed_time(end) / times


def check(rung, a, b):
    """A few rows of the product against numpy's in float64."""
    some = np.linspace(0, len(a) - 1, 8).astype(int)
    with mg.cuda.use_matmul(rung), mg.no_grad():
        found = (a @ b).cpu().numpy()[some]
    exact = a.cpu().numpy()[some].astype(np.float64) @ b.cpu().numpy()
    error = np.abs(found - exact).max() / np.abs(exact).max()
    assert error < 1e-5, f"rung {rung}: the product is wrong: relative error {error:.1e}"


def timed(size, times=5):
    """{rung: median of milliseconds} for size x size matrices, the rungs in turns."""
    a, b = (mg.randn(size, size).cuda() for _ in range(2))
    names = list(mg.cuda.matmul_rungs(mg.float32))
    for rung in names:
        check(rung, a, b)
    rounds = [{rung: milliseconds(rung, a, b, times) for rung in names} for _ in range(ROUNDS)]
    return {rung: statistics.median(r[rung] for r in rounds) for rung in names}


def timed_table(sizes):
    """Lines of a Markdown table: TFLOP/s of each rung and the share of cuBLAS's."""
    columns = {size: timed(size) for size in sizes}
    yield f"| rung | {' | '.join(f'{size}^3' for size in sizes)} |"
    yield f"|---|{'---:|' * len(sizes)}"
    for rung in mg.cuda.matmul_rungs(mg.float32):
        cells = [f"{2e-9 * s**3 / t[rung]:.2f} ({t['cublas'] / t[rung]:.0%})" for s, t in columns.items()]
        yield f"| {rung} | {' | '.join(cells)} |"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="90", help="whose registers and occupancy, as 90 for sm_90")
    parser.add_argument("--sizes", default="2048,4096", type=lambda text: [int(n) for n in text.split(",")])
    args = parser.parse_args(arguments)
    for line in static_table(args.arch):
        print(line, flush=True)
    print()
    for line in timed_table(args.sizes) if mg.cuda.is_available() else ["no GPU is at hand: no times"]:
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
