"""matmul_half: products of two-byte floats on tensor cores; a linear layer is one with a bias and an activation.

Which rung is taken where none is asked for was not measured: no GPU was at hand.
"""

from typing import NamedTuple

from minigrad.cuda import rungs, simulator
from minigrad.cuda.architecture import architecture
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.tensor_map import fits, tensor_map

FIELDS = [("batch", "i8"), ("a_batch", "i8"), ("b_batch", "i8"), *((n, "i4") for n in ("m", "n", "k", "activation"))]
PRODUCT = simulator.structure("Product", FIELDS)
RELU = 1
SMALL, LARGE = 256, 64  # up to so many results no tile pays; from such m, n and k on, "wgmma" is taken
MOST = 65535  # blocks along z


class Blocks(NamedTuple):
    """Results of a block, each way; its threads; the bytes of shared memory that it does not declare (wgmma.cuh)."""

    height: int
    width: int
    threads: int
    shared: int


BLOCKS = {
    "wmma": Blocks(64, 64, 128, 0),
    "mma": Blocks(128, 128, 128, 0),
    "wgmma": Blocks(128, 256, 384, 4 * 48 * 1024 + 1024 + 8 * 16 * 40 * 4),
}


def rung_for(y, a, b, k):
    """The rung that was asked for, or one that fits results like y, on the GPU that they lie on."""
    has, chosen = architecture(y), rungs.chosen(y.dtype)
    tensor_cores = has >= (80 if y.dtype.name == "bfloat16" else 75)
    boxes = has == 90 and k > 0 and fits(a) and fits(b) and (y.ndim == 2 or len(y) <= MOST)
    if chosen in (rungs.AUTO, rungs.CUBLAS):
        m, n = y.shape[-2:]
        tiled = "wgmma" if boxes and min(m, n, k) >= LARGE else "mma"
        return tiled if tensor_cores and m * n > SMALL else "plain"
    lacks = has != 90 if chosen == "wgmma" else not tensor_cores and chosen != "plain"
    if lacks:
        raise RuntimeError(f"[matmul] rung {chosen!r} was asked for {y.dtype.name}, which sm_{has} has not")
    return "mma" if chosen == "wgmma" and not boxes else chosen


def product(y, a, b, transposed, bias=None, other=None, activation=0):
    """y = activation(a b + bias + other); `transposed`: whether a, and whether b, is stored with its sides swapped.

    NotImplemented for arrays of different dtypes.
    """
    if any(x is not None and x.dtype != y.dtype for x in (a, b, bias, other)):
        return NotImplemented
    return started(y, a, b, transposed, bias, other, activation)


def started(y, a, b, transposed, bias, other, activation):
    (m, n), batch = y.shape[-2:], len(y) if y.ndim == 3 else 1
    k = a.shape[-2 if transposed[0] else -1]
    rung = rung_for(y, a, b, k)
    steps = [0 if x.ndim == 2 or len(x) == 1 else x.shape[-2] * x.shape[-1] for x in (a, b)]
    values = PRODUCT.pack(batch, *steps, m, n, k, activation)
    name = f"matmul_forward_{y.dtype.name}_{rung}"
    if rung == "plain":
        yield Launch(name, blocks_for(y.size, 256), 256, (y, a, b, bias, other, values, *transposed))
        return
    blocks, more = BLOCKS[rung], transposed
    if rung != "wmma":  # which has strides; these have an entry point for each way in which the operands may lie
        name += "".join("_columns" if t else "_rows" for t in transposed)
        more = (tensor_map(a), tensor_map(b)) if rung == "wgmma" and y.size else ()
    for begin in range(0, batch, MOST):
        some = [x[begin:] if batch > MOST and len(x) == batch else x for x in (y, a, b)]
        grid = (blocks_for(m, blocks.height) * blocks_for(n, blocks.width), 1, min(batch - begin, MOST))
        yield Launch(name, grid, blocks.threads, (*some, bias, other, values, *more), blocks.shared)


def for_both(function):
    """Register a launch function for either dtype: as `<name>_bfloat16` and `<name>_float16`."""
    for dtype in ("bfloat16", "float16"):

        def launch(*args):
            return function(*args)

        launch.__name__, launch.__module__ = f"{function.__name__}_{dtype}", function.__module__
        launches(launch)
    return function


@for_both
def matmul_forward(y, a, b, transpose_a, transpose_b):
    return product(y, a, b, (transpose_a, transpose_b))


@for_both
def linear_forward(y, x, w, bias):
    return product(y, x, w, (False, True), bias)


@for_both
def linear_relu_forward(y, x, w, bias):
    return product(y, x, w, (False, True), bias, activation=RELU)


@for_both
def linear_add_forward(y, x, w, bias, other):
    return product(y, x, w, (False, True), bias, other)
