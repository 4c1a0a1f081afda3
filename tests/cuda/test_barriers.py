"""Every barrier of every kernel taken away, one at a time: somebody must notice, or it is not needed.

The rows of test_kernels.py, in their forms for halves too and on every rung of the ladder of products, are run in mode
"check" again, once for each barrier that they come to, which is then passed over (`simulate(skip=...)`). A kernel whose
barrier nobody misses needs another row, or one barrier less.
"""

import re
from collections import defaultdict
from contextlib import ExitStack

import pytest

import minigrad as mg
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.cuda import KernelError, build, rungs, simulator
from minigrad.cuda.launches import LAUNCHES, bodies
from minigrad.cuda.source import HALVES, dtype_of, without_comments
from minigrad.dtypes import as_dtype
from tests.cuda.test_halves import as_halves as arguments_as_halves
from tests.cuda.test_kernels import CASES, copies, there

REDUNDANT = [  # file, words of the line, the kernels, why
    (
        "common.cuh", "__syncthreads();  // the last merge may still be reading",
        r"(softmax|log_softmax|rms_norm)_(forward|backward)_block\w*|(sum|mean|max|min|logsumexp|var)_forward_block\w*|"
        r"mean_forward_(chunks|total)|total_norm_chunks|total_norm_total|conv2d_backward_weight_bias|prod_backward_rows|"
        r"(mse_loss|binary_cross_entropy\w*)_forward_chunks|loss_forward_total|nll_loss_forward_(chunks|total)",
        "these merge once in a block, or once with each operation, and those have `parts` of their own",
    ),
]  # fmt: skip

bodies()
LAUNCH = simulator.Library.launch
STEMS = sorted({stem for stem, _ in LAUNCHES.values()})


def as_halves(row, dtype):
    return (f"{row[0]}_{dtype}", *arguments_as_halves(row, as_dtype(dtype)))


def runs_of(stem):
    """(row, {dtype: rung}) of all that a file's kernels are to do."""
    rows = [row for row in CASES if LAUNCHES[row[0]][0] == stem]
    halves = [as_halves(row, dtype) for row in rows for dtype in HALVES if f"{row[0]}_{dtype}" in kernels(SimArray)]
    yield from ((row, {}) for row in rows + halves)
    if stem.startswith("matmul"):
        for name, rung in rungs.RUNGS.items():
            yield from ((row, {str(row[1].dtype): name}) for row in rows + halves if str(row[1].dtype) in rung.dtypes)


def run(row, choice):
    with ExitStack() as stack:
        for dtype, rung in choice.items():
            stack.enter_context(mg.cuda.use_matmul(rung, dtype))
        name, *args = row
        with mg.cuda.simulate(mode="check"):
            kernels(SimArray)[name](*copies(args, there))


def barriers_met(runs):
    """{(kernel, (file, line)): runs that came there}."""
    found = defaultdict(list)

    def launch(library, kernel, *args):
        LAUNCH(library, kernel, *args)
        for place in library.barriers():
            found[kernel, place].append(each)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator.Library, "launch", launch)
        for each in runs:
            run(*each)
    return found


def is_missed(kernel, place, runs):
    """Whether a run reports something when this kernel passes over the barrier."""

    def launch(library, name, *args):
        with mg.cuda.simulate(skip=place if name == kernel else None):
            LAUNCH(library, name, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator.Library, "launch", launch)
        return any(reported(*each) == kernel for each in runs)


def reported(row, choice):
    """The kernel in which a fault was found, or None."""
    try:
        run(row, choice)
    except KernelError as error:
        assert error.line, str(error)
        return error.kernel


def line_of(place):
    file, line = place
    return (build.kernel_folder() / file).read_text().split("\n")[line - 1].strip()


def is_redundant(kernel, place):
    kernel = kernel.removesuffix(f"_{dtype_of(kernel)}")
    return any(
        place[0] == file and words in line_of(place) and re.fullmatch(kernels, re.sub("_b?float16$", "", kernel))
        for file, words, kernels, _ in REDUNDANT
    )


@pytest.mark.parametrize("stem", STEMS)
def test_a_barrier_is_missed(stem):
    met = barriers_met(runs_of(stem))
    missed = {(kernel, place): is_missed(kernel, place, runs) for (kernel, place), runs in met.items()}
    alone = {(k, f"{p[0]}:{p[1]}") for (k, p), noticed in missed.items() if not noticed and not is_redundant(k, p)}
    assert alone == set(), "nobody notices when these kernels pass over these barriers"
    needed = {(k, f"{p[0]}:{p[1]}") for (k, p), noticed in missed.items() if noticed and is_redundant(k, p)}
    assert needed == set(), "these are listed as redundant"


def barriers_in(path):
    """(file, line) of each `__syncthreads` and `__syncwarp` in a text."""
    lines = without_comments(path.read_text()).split("\n")
    return {(path.name, n) for n, line in enumerate(lines, 1) if re.search(r"__sync(threads|warp)\(", line)}


def test_every_barrier_is_met():
    """Those in a macro are not: they would all count as the line where it is used."""
    written = set().union(*[barriers_in(path) for path in build.kernel_folder().glob("*.cu*")])
    met = {place for stem in STEMS for _, place in barriers_met(runs_of(stem))}
    assert written and met == written


PAIR = """
extern "C" __global__ void pair(float* y, const float* x) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x ^ 1];
  __syncwarp();
  y[threadIdx.x ^ 1] += 1.0f;
}
"""


@pytest.mark.parametrize("line, words", [(5, "read of uninitialised shared `tile`"), (7, "data race on global `y`")])
def test_what_is_reported_without_a_barrier(line, words):
    kernel, arrays = mg.cuda.compile(PAIR), (mg.zeros(64, device="cuda-sim"), mg.ones(64, device="cuda-sim"))
    kernel(1, 64, arrays)
    assert arrays[0].tolist() == [2.0] * 64
    with mg.cuda.simulate(skip=("kernel.cu", line)), pytest.raises(KernelError, match=words):
        kernel(1, 64, arrays)
    kernel(1, 64, arrays)
