"""cumulative: rows (inner = 1) and lines of x (outer, n, inner); long ones, where there are few, in pieces.

The number of pieces comes from the shape alone, and so do the bits of the results.
"""

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.dtypes import float64

MANY, MOST_PIECES = 256, 1024  # blocks that keep a GPU busy; pieces of a line
TILES, PART = 4096, 512  # the least length of a piece of a row and of a line


def pieces_of(n, blocks, least):
    """(length, number) of the pieces of a line of n elements where whole lines would be work for so many blocks."""
    number = min(MOST_PIECES, -(-MANY // max(1, blocks)), -(-n // least)) if blocks < MANY else 1
    length = -(-n // (max(1, number) * least)) * least
    return length, -(-n // max(1, length))


def scan(name, y, width, x, second=None, third=None):
    """`width`: how many numbers a running total is."""
    outer, n, inner = x.shape
    if not x.size:
        return
    lines = outer * inner
    kind, blocks, least = ("rows", outer, TILES) if inner == 1 else ("lines", blocks_for(lines, 32), PART)
    length, pieces = pieces_of(n, blocks, least)
    block = (256 if n > 256 else 32) if inner == 1 else (32, 8 if n > 64 else 1)
    sizes = (n, length, pieces) if inner == 1 else (lines, n, inner, length, pieces)
    totals = None
    if pieces > 1:
        totals = empty_beside(x, (lines * pieces * width,), float64)
        yield Launch(f"{name}_{kind}_totals", blocks * pieces, block, (totals, x, second, *sizes))
    yield Launch(f"{name}_{kind}", blocks * pieces, block, (y, x, second, third, totals, *sizes))


@launches
def cumsum_forward(y, x):
    return scan("cumsum_forward", y, 1, x)


@launches
def cumsum_backward(dx, dy):
    return scan("cumsum_backward", dx, 1, dy)


@launches
def cumprod_forward(y, x):
    return scan("cumprod_forward", y, 1, x)


@launches
def cumprod_backward(dx, dy, x, before):
    return scan("cumprod_backward", dx, 2, x, dy, before)


@launches
def recurrence_forward(h, a, b):
    return scan("recurrence_forward", h, 2, a, b)
