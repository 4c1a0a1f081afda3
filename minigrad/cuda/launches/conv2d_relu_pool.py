"""conv2d_relu_pool: a thread for each square and 4 channels; sums over all squares by blocks, in pieces."""

import numpy as np

from minigrad.backend.array import empty_beside
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches

NAMES = ["in", "out", "h", "w", "kh", "kw", "rows", "cols"]
NAMES += ["stride_h", "stride_w", "pad_h", "pad_w", "dil_h", "dil_w"]
simulator.structures["Pooled"] = pooled_type = np.dtype([(name, "i4") for name in NAMES])

CHANNELS, TAPS = 4, 8  # of a thread; of a block
PIECE, MOST_PIECES = 1 << 13, 64  # squares that a block sums, at least, and pieces of all squares


def pooled(x, w, y, numbers):
    sizes = (x.shape[1], w.shape[0], *x.shape[2:], *w.shape[2:], *y.shape[2:])
    return np.array((*sizes, *numbers), pooled_type)


@launches
def conv2d_relu_pool_forward(y, code, x, w, bias, *numbers):
    squares = len(y) * y.shape[2] * y.shape[3]
    grid = (blocks_for(squares, 128), blocks_for(len(w), CHANNELS))
    yield Launch("conv2d_relu_pool_forward", grid, 128, (y, code, x, w, bias, len(x), pooled(x, w, y, numbers)))


@launches
def conv2d_relu_pool_backward(dw, db, dy, code, x, *numbers):
    squares, out, taps = len(dy) * dy.shape[2] * dy.shape[3], len(dw), dw.size // max(1, len(dw))
    length = -(-max(PIECE, squares // MOST_PIECES) // 256) * 256
    pieces = -(-squares // length)
    parts = empty_beside(dw, (pieces, out, taps + 1), dw.dtype)
    args = (parts, dy, code, x, squares, length, pooled(x, dw, dy, numbers))
    yield Launch("conv2d_relu_pool_backward_parts", (out * (taps // TAPS + 1), pieces), 256, args)
    grid = blocks_for(out * (taps + 1), 256)
    yield Launch("conv2d_relu_pool_backward_total", grid, 256, (dw, db, parts, out, taps, pieces))


@launches
def conv2d_relu_pool_spread(full, dy, code):
    args = (full, dy, code, full.size, *full.shape[2:], *dy.shape[2:])
    yield Launch("conv2d_relu_pool_spread", blocks_for(full.size, 256), 256, args)
