"""elementwise: every row of csrc/cuda/elementwise.cu by one launch function; where's apart, it has a mask.

Arrays in C order of one shape are one long array. Else dimensions that can be stepped over as one are joined, and the
strided entry point takes the steps of what is left.
"""

import math
from functools import lru_cache

from minigrad.backend.array import is_array
from minigrad.backend.devices import is_contiguous
from minigrad.cuda import simulator
from minigrad.cuda.launches import LAUNCHES, Launch, blocks_for, launches

THREADS, MOST_BLOCKS, MAX_DIMS = 256, 1 << 16, 8  # threads go on to further elements where blocks do not suffice
SIDE = 32  # of the tiles that a copy turns over
PACK, LONG = 16, 1 << 22  # bytes that a thread loads at once: once, or of long arrays twice
STRIDES = [("ndim", "i4"), ("sizes", "i4", MAX_DIMS), *[(name, "i8", MAX_DIMS) for name in "yab"]]
strides_type = simulator.structure("Strides", STRIDES)
where_type = simulator.structure("WhereStrides", [("arrays", strides_type.dtype), ("mask", "i8", MAX_DIMS)])

UNARY = "neg sign abs exp log sqrt relu sigmoid tanh erf silu gelu gelu_tanh clamp pow_scalar"
SAVED = "abs exp log sqrt relu sigmoid tanh erf silu gelu gelu_tanh clamp pow_scalar"
BINARY = "add sub mul div pow maximum minimum floor_divide trunc_divide remainder eq ne gt lt ge le"
ROWS = {f"{name}_forward" for name in UNARY.split()} | {"neg_backward", "sign_backward"}  # y, a, numbers
ROWS_OF_TWO = {f"{name}_backward" for name in SAVED.split()} | {f"{name}_forward" for name in BINARY.split()}


def grid_for(n, per_thread=1):
    return min(blocks_for(n, THREADS, per_thread), MOST_BLOCKS)


def packs_of(a):
    """How many elements of a long array are for one thread."""
    return (PACK if a.nbytes < LONG else 2 * PACK) // a.itemsize


def one_input(name):
    def launch(y, a, *numbers):
        return each(name, y, a, None, *numbers)

    return launch


def two_inputs(name):
    def launch(y, a, b, *numbers):
        return each(name, y, a, b, *numbers) if is_array(b) else each(name, y, a, None, b)

    return launch


def each(name, y, a, b, p=0.0, q=0.0):
    """y = formula(a, b, p, q); b is an array or None."""
    n, shape = y.size, y.shape
    if is_plain(y, shape) and is_plain(a, shape) and (b is None or is_plain(b, shape)):
        return [Launch(name, grid_for(n, packs_of(a)), THREADS, (y, a, b, p, q, n))]
    _, strides = steps(y, a, b)
    return [Launch(f"{name}_strided", grid_for(n), THREADS, (y, a, b, p, q, strides_type.pack(*strides), n))]


def is_plain(x, shape):
    return is_contiguous(x) and x.shape == shape


def steps(y, *inputs):
    """(steps of all arrays by dimension, the values of a `Strides`) after joining dimensions.

    Errors: ValueError when more than 8 dimensions are left.
    """
    return steps_of(y.shape, *[None if x is None else (x.shape, x.strides, x.itemsize) for x in (y, *inputs)])


@lru_cache(4096)
def steps_of(shape, *arrays):
    """The same for shapes, steps in bytes and sizes of elements."""
    sizes, table = joined(shape, [[0] * len(shape) if x is None else spread(shape, *x) for x in arrays])
    if len(sizes) > MAX_DIMS:
        raise ValueError(f"[cuda] {len(sizes)} dimensions that cannot be joined, expected at most {MAX_DIMS}")
    rows = [padded(row) for row in table]
    return rows, (len(sizes), *padded(sizes), *rows[0], *rows[-2], *rows[-1])


def spread(shape, own, strides, itemsize):
    """Steps in elements of an array that is broadcast to `shape`: 0 where it has one element for all."""
    missing = len(shape) - len(own)
    rows = zip(shape[missing:], own, strides, strict=True)
    return [0] * missing + [0 if n == 1 < m else step // itemsize for m, n, step in rows]


def joined(shape, table):
    """Sizes, and for each array its steps; neighbours that no array steps over differently are one."""
    sizes, columns = [], []
    for n, column in zip(shape, zip(*table, strict=True), strict=True):
        if n == 1:
            continue
        if sizes and all(before == n * step for before, step in zip(columns[-1], column, strict=True)):
            sizes[-1], columns[-1] = sizes[-1] * n, column
        else:
            sizes.append(n)
            columns.append(column)
    return sizes, [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in table]


def padded(values):
    return (*values, *[0] * (MAX_DIMS - len(values)))


for _name in ROWS:
    LAUNCHES[_name] = "elementwise", one_input(_name)
for _name in ROWS_OF_TWO:
    LAUNCHES[_name] = "elementwise", two_inputs(_name)


@launches
def copy_forward(y, a):
    return turned(y, a) or each("copy_forward", y, a, None)


def turned(y, a):
    """Launches where neighbours in `a` are not neighbours in y, but lie along the dimension before; else None."""
    if not y.size or is_plain(a, y.shape):
        return None
    (of_y, of_a, _), strides = steps(y, a, None)
    ndim, sizes = strides[0], strides[1 : 1 + strides[0]]
    if ndim < 2 or min(sizes[-2:]) < SIDE // 4 or (of_y[ndim - 1], of_a[ndim - 2]) != (1, 1):
        return None
    tiles = math.prod(sizes[:-2]) * blocks_for(sizes[-2], SIDE) * blocks_for(sizes[-1], SIDE)
    return [Launch("copy_forward_turned", tiles, (SIDE, 8), (y, a, strides_type.pack(*strides)))]


@launches
def where_forward(y, mask, a, b):
    arrays = [x if is_array(x) else None for x in (a, b)]
    (_, mask_steps, *_), strides = steps(y, mask, *arrays)
    numbers = [0.0 if is_array(x) else x for x in (a, b)]
    packed = where_type.pack(*strides, *mask_steps)
    grid = grid_for(math.prod(y.shape))
    yield Launch("where_forward", grid, THREADS, (y, mask, *arrays, *numbers, packed, y.size))
