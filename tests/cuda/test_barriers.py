"""Every barrier of every kernel taken away, one at a time: somebody must notice, or it is not needed.

The rows of test_kernels.py are run in mode "check" again, once for each barrier that they come to, which is then passed
over (`simulate(skip=...)`). A kernel whose barrier nobody misses needs another row, or one barrier less.
"""

import re
from collections import defaultdict

import pytest

import minigrad as mg
from minigrad.cuda import KernelError, build, simulator
from minigrad.cuda.launches import LAUNCHES, bodies
from minigrad.cuda.source import without_comments
from tests.cuda.test_kernels import CASES, simulated

REDUNDANT = [  # file, words of the line, the kernels, why
    (
        "common.cuh", "__syncthreads();  // the last merge may still be reading",
        r"(softmax|log_softmax|rms_norm)_(forward|backward)_block\w*|(sum|mean|max|min|logsumexp|var)_forward_block\w*|"
        r"mean_forward_chunks|total_norm_chunks|total_norm_total|conv2d_backward_weight_bias|prod_backward_rows|"
        r"(mse_loss|binary_cross_entropy\w*)_forward_chunks|loss_forward_total",
        "these merge once in a block, or once with each operation, and those have `parts` of their own",
    ),
]  # fmt: skip

bodies()
LAUNCH = simulator.Library.launch
STEMS = sorted({stem for stem, _ in LAUNCHES.values()})


def rows_of(stem):
    return [row for row in CASES if LAUNCHES[row[0]][0] == stem]


def barriers_met(rows):
    """{(kernel, (file, line)): rows that came there}."""
    found = defaultdict(list)

    def launch(library, kernel, *args):
        LAUNCH(library, kernel, *args)
        for place in library.barriers():
            found[kernel, place].append(row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator.Library, "launch", launch)
        for row in rows:
            simulated(row, mode="check")
    return found


def is_missed(kernel, place, rows):
    """Whether a row reports something when this kernel passes over the barrier."""

    def launch(library, name, *args):
        with mg.cuda.simulate(skip=place if name == kernel else None):
            LAUNCH(library, name, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator.Library, "launch", launch)
        return any(reported(row) == kernel for row in rows)


def reported(row):
    """The kernel in which a fault was found, or None."""
    try:
        simulated(row, mode="check")
    except KernelError as error:
        assert error.line, str(error)
        return error.kernel


def line_of(place):
    file, line = place
    return (build.kernel_folder() / file).read_text().split("\n")[line - 1].strip()


def is_redundant(kernel, place):
    return any(
        place[0] == file and words in line_of(place) and re.fullmatch(kernels, kernel)
        for file, words, kernels, _ in REDUNDANT
    )


@pytest.mark.parametrize("stem", STEMS)
def test_a_barrier_is_missed(stem):
    met = barriers_met(rows_of(stem))
    missed = {(kernel, place): is_missed(kernel, place, rows) for (kernel, place), rows in met.items()}
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
    met = {place for _, place in barriers_met(CASES)}
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
