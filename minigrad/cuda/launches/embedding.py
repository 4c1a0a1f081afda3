"""embedding: forward by elements, backward by a warp for each row of the table and 32 of its columns."""

from minigrad.backend.checks import check_bounds
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK


@launches
def embedding_forward(y, weight, index):
    (n, cols), rows = y.shape, weight.shape[0]
    check_bounds("embedding", index, rows, f"a table of {rows} rows")
    yield Launch("embedding_forward", min(blocks_for(n * cols, 256), 4096), 256, (y, weight, index, n, rows, cols))


@launches
def embedding_backward(dw, dy, index):
    rows, cols = dw.shape
    grid = (blocks_for(rows, ROWS_PER_BLOCK), blocks_for(cols, 32))
    yield Launch("embedding_backward", grid, 32 * ROWS_PER_BLOCK, (dw, dy, index, index.size, rows, cols))
