"""embedding: forward by elements, backward by a warp for each row of the table and 32 of its columns."""

from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK


@launches
def embedding_forward(y, weight, index):
    (n, cols), rows = y.shape, weight.shape[0]
    if n and not 0 <= index.min() <= index.max() < rows:
        raise IndexError(f"[embedding] index out of range for a table of {rows} rows, expected 0 to {rows - 1}")
    yield Launch("embedding_forward", min(blocks_for(n * cols, 256), 4096), 256, (y, weight, index, n, cols))


@launches
def embedding_backward(dw, dy, index):
    rows, cols = dw.shape
    grid = (blocks_for(rows, ROWS_PER_BLOCK), blocks_for(cols, 32))
    yield Launch("embedding_backward", grid, 32 * ROWS_PER_BLOCK, (dw, dy, index, index.size, rows, cols))
