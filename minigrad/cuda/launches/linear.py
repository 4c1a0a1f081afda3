"""linear: the product with its bias in one launch, or in pieces along `in` where results are few; sums over rows by
columns."""

from minigrad.backend.array import empty_beside
from minigrad.cuda import rungs
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.matmul import TILES, cut, fitting, tiles

STREAMS = 1024  # blocks that are wanted where memory is all that is waited for


def layer(name, outs, x, w, bias, *more):
    """`name` of x, w, bias and what more it takes, on one of the two rungs that have bodies which finish z: the last
    where that was asked for or fits, `register` for all others."""
    y, (rows, columns) = outs[0], outs[0].shape
    rung = rungs.chosen(y.dtype)
    rung = fitting(rows, columns) if rung in (rungs.AUTO, rungs.CUBLAS) else rung
    rung = rung if rung == "warp_tiled" else "register"
    side = TILES[rung]
    pieces, depth = cut(x.shape[1], blocks_for(rows, side) * blocks_for(columns, side))
    parts = None if pieces == 1 else empty_beside(y, (pieces, rows, columns), y.dtype)
    args = (*outs, parts, x, w, bias, *more, rows, columns, x.shape[1], depth)
    yield Launch(f"{name}_{rung}", tiles(rows, columns, pieces, side), 256, args)
    if parts is not None:
        args = (*outs, parts, bias, *more, rows, columns, pieces)
        yield Launch(f"{name}_sum", blocks_for(y.size, 256), 256, args)


def by_columns(name, sum_up, outs, dbias, *inputs):
    """`name` on blocks of 32 columns and pieces of the rows, whose sums go to dbias (or None): by way of a row for each
    piece, which `sum_up` adds up, if there are several."""
    rows, columns = inputs[0].shape
    across = blocks_for(columns, 32)
    pieces, depth = cut(rows, across, STREAMS)
    parts = dbias if dbias is None or pieces == 1 else empty_beside(dbias, (pieces, columns), dbias.dtype)
    yield Launch(name, (across, pieces), (32, 8), (*outs, parts, *inputs, rows, columns, depth))
    if parts is not dbias:
        yield Launch(sum_up, across, (32, 8), (dbias, parts, pieces, columns, pieces))


@launches
def linear_forward(y, x, w, bias):
    return layer("linear_forward", (y,), x, w, bias)


@launches
def linear_backward_bias(dbias, dy):
    return by_columns("linear_backward_bias", "linear_backward_bias", (), dbias, dy)
