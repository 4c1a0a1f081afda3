"""reduce: x (outer, n, inner) to (outer, inner), by rows if inner is 1, else by columns; a long sum in two steps."""

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, blocks_for, launches, single
from minigrad.cuda.launches.rows import LONGEST_FOR_A_WARP, ROWS_PER_BLOCK
from minigrad.dtypes import float32

LONG, CHUNK = 1 << 16, 1 << 13  # one sum of more elements than LONG is cut into chunks


def reduction(name, y, second, x, p=1.0):
    outer, n, inner = x.shape
    if inner != 1:
        return Launch(f"{name}_columns", outer * blocks_for(inner, 32), (32, 8), (y, second, x, p, n, inner))
    if n > LONGEST_FOR_A_WARP:
        return Launch(f"{name}_block", outer, 256, (y, second, x, p, n))
    return Launch(f"{name}_warp", blocks_for(outer, ROWS_PER_BLOCK), 32 * ROWS_PER_BLOCK, (y, second, x, p, outer, n))


def total(name, y, x, p=1.0):
    """A reduction whose result can be reduced further."""
    if y.size == 1 and x.size > LONG:
        count = blocks_for(x.size, CHUNK)
        parts = empty_beside(x, (count,), float32)
        yield Launch(f"{name}_chunks", count, 256, (parts, x, x.size, CHUNK))
        yield Launch(f"{name}_total", 1, 256, (y, parts, p, count))
    else:
        yield reduction(name, y, None, x, p)


@launches
def sum_forward(y, x):
    return total("sum_forward", y, x)


@launches
def mean_forward(y, x):
    return total("mean_forward", y, x, x.shape[1])


@launches
def prod_forward(y, x):
    return total("prod_forward", y, x)


@launches
def max_forward(y, index, x):
    yield reduction("max_forward", y, index, x)


@launches
def min_forward(y, index, x):
    yield reduction("min_forward", y, index, x)


@launches
def logsumexp_forward(y, x):
    yield reduction("logsumexp_forward", y, None, x)


@launches
def var_forward(y, mean, x, correction):
    yield reduction("var_forward", y, mean, x, correction)


@launches
@single
def prod_backward(dx, dy, x):
    outer, n, inner = x.shape
    if inner == 1:
        yield Launch("prod_backward_rows", outer if n else 0, 256 if n > 64 else 32, (dx, dy, x, n))
    else:
        lines = outer * inner
        yield Launch("prod_backward_lines", blocks_for(lines, 256), 256, (dx, dy, x, lines, n, inner))
