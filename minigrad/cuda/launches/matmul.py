"""matmul: a block for each 64 x 64 results, or a thread for each of a few."""

import numpy as np

from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches

TILE, SMALL = 64, 1024  # up to SMALL results per matrix no tile pays
STEPS = [(f"{x}_{step}", "i8") for x in "ab" for step in ("batch", "row", "column")]
simulator.structures["Operands"] = operands_type = np.dtype(STEPS)


def tiles(m, n, batch=1):
    return (blocks_for(n, TILE), blocks_for(m, TILE), batch)


def matrices(x, transposed, batch):
    """(rows, columns) of the matrices in x, and the steps between matrices, rows and columns."""
    rows, columns = x.shape[-2:]
    between = rows * columns if x.ndim == 3 and len(x) == batch and batch > 1 else 0
    return ((columns, rows), (between, 1, columns)) if transposed else ((rows, columns), (between, columns, 1))


@launches
def matmul_forward(y, a, b, transpose_a, transpose_b):
    batch, (m, n) = len(y) if y.ndim == 3 else 1, y.shape[-2:]
    (_, k), a_steps = matrices(a, transpose_a, batch)
    _, b_steps = matrices(b, transpose_b, batch)
    steps = np.array((*a_steps, *b_steps), operands_type)
    if m * n <= SMALL or batch > 65535:
        args = (y, a, b, batch, m, n, k, steps)
        yield Launch("matmul_forward_naive", blocks_for(batch * m * n, 256), 256, args)
    else:
        name = "matmul_forward_tiled" + "".join("_columns" if t else "_rows" for t in (transpose_a, transpose_b))
        yield Launch(name, tiles(m, n, batch), 256, (y, a, b, m, n, k, steps))
