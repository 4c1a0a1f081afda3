"""matmul_half: products of two-byte floats on tensor cores; a linear layer is one with a bias and an activation."""

import numpy as np

from minigrad.cuda import rungs, simulator
from minigrad.cuda.architecture import architecture
from minigrad.cuda.launches import Launch, blocks_for, launches

FIELDS = [("batch", "i8"), ("a_batch", "i8"), ("b_batch", "i8"), *((n, "i4") for n in ("m", "n", "k", "activation"))]
simulator.structures["Product"] = product_type = np.dtype(FIELDS)
SIDE, THREADS = 128, 128  # of what a block of the rung "mma" computes
RELU = 1
SMALL = 256  # up to so many results no tile pays
MOST = 65535  # blocks along z


def rung_for(y):
    """The rung that was asked for, or one that fits results like y, on the GPU that they lie on."""
    has, chosen = architecture(y), rungs.chosen(y.dtype)
    tensor_cores = has >= (80 if y.dtype.name == "bfloat16" else 75)
    if chosen in (rungs.AUTO, rungs.CUBLAS):
        return "mma" if tensor_cores and y.shape[-2] * y.shape[-1] > SMALL else "plain"
    if has < rungs.RUNGS[chosen].architecture or not (tensor_cores or chosen == "plain"):
        raise RuntimeError(f"[matmul] rung {chosen!r} on {y.dtype.name} asked for, which sm_{has} has not")
    return chosen


def product(y, a, b, transposed, bias=None, other=None, activation=0):
    """y = activation(a b + bias + other); `transposed`: whether a, and whether b, is stored with its sides swapped.

    NotImplemented for arrays of different dtypes.
    """
    if any(x is not None and x.dtype != y.dtype for x in (a, b, bias, other)):
        return NotImplemented
    return started(y, a, b, transposed, bias, other, activation)


def started(y, a, b, transposed, bias, other, activation):
    (m, n), batch = y.shape[-2:], len(y) if y.ndim == 3 else 1
    k, rung = a.shape[-2 if transposed[0] else -1], rung_for(y)
    steps = [0 if x.ndim == 2 or len(x) == 1 else x.shape[-2] * x.shape[-1] for x in (a, b)]
    values = np.array((batch, *steps, m, n, k, activation), product_type)
    name = f"matmul_forward_{y.dtype.name}_{rung}"
    if rung == "plain":
        yield Launch(name, blocks_for(y.size, 256), 256, (y, a, b, bias, other, values, *transposed))
        return
    name += "".join("_columns" if t else "_rows" for t in transposed)
    for begin in range(0, batch, MOST):
        some = [x[begin:] if batch > MOST and len(x) == batch else x for x in (y, a, b)]
        grid = (blocks_for(m, SIDE) * blocks_for(n, SIDE), 1, min(batch - begin, MOST))
        yield Launch(name, grid, THREADS, (*some, bias, other, values))


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
