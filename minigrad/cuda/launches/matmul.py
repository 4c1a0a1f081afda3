"""matmul: a rung of the ladder, the one that was asked for (`rungs.py`) or one that fits the shape; where results are
few and k is large, in pieces along k, whose number the shape alone decides.
"""

from minigrad.backend.array import empty_beside
from minigrad.cuda import rungs, simulator
from minigrad.cuda.launches import Launch, blocks_for, launches

STEPS = [(f"{x}_{step}", "i8") for x in "ab" for step in ("batch", "row", "column")]
FIELDS: list = [*STEPS, ("pieces", "i4"), ("depth", "i4")]
operands_type = simulator.structure("Operands", FIELDS)

# The sides of what a block computes; other rungs have a thread for each result.
TILES = {"tiled": 16, "register": 64, "vectorized": 128, "warp_tiled": 128}
DIRECTED = ("register", "vectorized", "warp_tiled")  # with an entry point for each way in which the operands may lie
SMALL, THIN = 1024, 8  # up to so many results, or rows or columns, no tile is filled
LARGE, WIDE = 1 << 19, 96  # from so many results, and rows and columns, on there are large tiles for all of a GPU
BLOCKS, DEPTH = 128, 128  # that are wanted of a launch; no piece is cut shorter
MOST = 65535  # blocks along z


def tiles(m, n, batch=1, side=TILES["register"]):
    return (blocks_for(m, side) * blocks_for(n, side), 1, batch)


def matrices(x, transposed, batch):
    """(rows, columns) of the matrices in x, and the steps between matrices, rows and columns."""
    rows, columns = x.shape[-2:]
    between = rows * columns if x.ndim == 3 and len(x) == batch and batch > 1 else 0
    return ((columns, rows), (between, 1, columns)) if transposed else ((rows, columns), (between, columns, 1))


def fitting(m, n, batch=1):
    """The rung for matrices of this shape; by reasoning, not yet by measurements on a GPU."""
    if min(m, n) < THIN or m * n <= SMALL:
        return "coalesced"
    return "warp_tiled" if batch * m * n >= LARGE and min(m, n) >= WIDE else "register"


def cut(k, blocks, wanted=BLOCKS):
    """(how many pieces k is cut into, how long they are), so that `blocks` become about as many as are wanted."""
    pieces = max(1, min(wanted // max(1, blocks), k // DEPTH))
    depth = max(1, blocks_for(k, 16 * pieces)) * 16
    return max(1, blocks_for(k, depth)), depth


@launches
def matmul_forward(y, a, b, transpose_a, transpose_b):
    batch, (m, n) = len(y) if y.ndim == 3 else 1, y.shape[-2:]
    (_, k), a_steps = matrices(a, transpose_a, batch)
    _, b_steps = matrices(b, transpose_b, batch)
    rung = rungs.chosen(y.dtype)
    rung = fitting(m, n, batch) if rung in (rungs.AUTO, rungs.CUBLAS) else rung
    side = TILES.get(rung)
    pieces, depth = cut(k, blocks_for(batch * m * n, side * side if side else 256))
    steps = operands_type.pack(*a_steps, *b_steps, pieces, depth)
    parts = y if pieces == 1 else empty_beside(y, (batch * pieces, m, n), y.dtype)
    name, args = f"matmul_forward_{rung}", (m, n, k, steps)
    if side is None:
        count = batch * pieces
        yield Launch(name, blocks_for(count * m * n, 256), 256, (parts, a, b, count, *args))
    else:
        name += "".join("_columns" if t else "_rows" for t in (transpose_a, transpose_b)) if rung in DIRECTED else ""
        for begin in range(0, batch, MOST):
            some = [x[begin:] if batch > MOST and len(x) == batch else x for x in (parts, a, b)]
            yield Launch(name, tiles(m, n, min(MOST, batch - begin) * pieces, side), 256, (*some, *args))
    if pieces > 1:
        yield Launch("matmul_forward_sum", blocks_for(y.size, 256), 256, (y, parts, batch, m * n, pieces))
