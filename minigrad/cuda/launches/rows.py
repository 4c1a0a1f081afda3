"""rows: what the kernels that work row by row have in common."""

from minigrad.cuda.launches import Launch, blocks_for

LONGEST_FOR_A_WARP = 1024  # columns; longer rows get a block each
ROWS_PER_BLOCK = 4


def by_rows(name, shape, *arrays_and_numbers):
    """`name_warp(..., rows, cols)`, or `name_block(..., cols)` where rows are long; `shape` is (rows, cols)."""
    rows, cols = shape
    if cols <= LONGEST_FOR_A_WARP:
        grid = blocks_for(rows, ROWS_PER_BLOCK) if cols else 0
        return Launch(f"{name}_warp", grid, 32 * ROWS_PER_BLOCK, (*arrays_and_numbers, rows, cols))
    return Launch(f"{name}_block", rows, 256, (*arrays_and_numbers, cols))
