"""embedding: forward by elements, backward by a warp for each row of the table and 32 of its columns, or, where each
would have to look through too long an index, by elements after the index is sorted."""

import numpy as np

from minigrad.backend.array import empty_beside
from minigrad.backend.checks import check_bounds
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.radix import passes
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK

MOST_LOOKS = 1 << 22  # entries of the index, over all warps


@launches
def embedding_forward(y, weight, index):
    (n, cols), rows = y.shape, weight.shape[0]
    check_bounds("embedding", index, rows, f"a table of {rows} rows")
    yield Launch("embedding_forward", min(blocks_for(n * cols, 256), 4096), 256, (y, weight, index, n, rows, cols))


@launches
def embedding_backward(dw, dy, index):
    rows, cols = dw.shape
    if dw.size and rows * blocks_for(cols, 32) * index.size > MOST_LOOKS:
        yield from sorted_backward(dw, dy, index)
        return
    grid = (blocks_for(rows, ROWS_PER_BLOCK), blocks_for(cols, 32))
    yield Launch("embedding_backward", grid, 32 * ROWS_PER_BLOCK, (dw, dy, index, index.size, rows, cols))


def sorted_backward(dw, dy, index):
    (rows, cols), n = dw.shape, index.size
    keys, places = empty_beside(dw, (1, n), np.uint32), empty_beside(dw, (1, n), np.int32)
    yield Launch("embedding_backward_keys", blocks_for(n, 256), 256, (keys, places, index, n, rows))
    keys, places = yield from passes("embedding_backward", keys, places, rows.bit_length())
    args = (dw, dy, keys, places, n, dw.size, cols)
    yield Launch("embedding_backward_sum", blocks_for(dw.size, 256), 256, args)
