"""conv2d: implicit products of matrices, a block for each 64 x 64 results of a group."""

from minigrad.backend.array import empty_beside
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.matmul import cut, tiles
from minigrad.dtypes import float32

NAMES = ["images", "groups", "in", "out", "h", "w", "oh", "ow", "kh", "kw"]
NAMES += ["stride_h", "stride_w", "pad_h", "pad_w", "dil_h", "dil_w"]
convolution_type = simulator.structure("Convolution", [(name, "i4") for name in NAMES])


def convolution(x, w, y, numbers):
    *windows, groups = numbers
    sizes = (x.shape[0], groups, w.shape[1], w.shape[0] // groups, *x.shape[2:], *y.shape[2:], *w.shape[2:])
    return convolution_type.pack(*sizes, *windows)


@launches
def conv2d_forward(y, x, w, bias, *numbers):
    grid = tiles(len(w) // numbers[-1], y.shape[0] * y.shape[2] * y.shape[3], numbers[-1])
    yield Launch("conv2d_forward", grid, 256, (y, x, w, bias, convolution(x, w, y, numbers)))


@launches
def conv2d_backward_input(dx, dy, w, *numbers):
    grid = tiles(w.shape[1], dx.shape[0] * dx.shape[2] * dx.shape[3], numbers[-1])
    yield Launch("conv2d_backward_input", grid, 256, (dx, dy, w, convolution(dx, w, dy, numbers)))


@launches
def conv2d_backward_weight(dw, db, dy, x, *numbers):
    n, channels, *size = dy.shape
    across, _, groups = tiles(len(dw) // numbers[-1], dw[0].size if len(dw) else 0, numbers[-1])
    pieces, depth = cut(n * size[0] * size[1], across * groups)
    parts = None if pieces == 1 else empty_beside(dw, (pieces, dw.size), float32)
    args = (dw, parts, dy, x, depth, convolution(x, dw, dy, numbers))
    yield Launch("conv2d_backward_weight", (across, pieces, groups), 256, args)
    if parts is not None:
        yield Launch("conv2d_backward_weight_sum", blocks_for(dw.size, 256), 256, (dw, parts, dw.size, pieces))
    if db is not None:
        yield Launch("conv2d_backward_weight_bias", channels, 256, (db, dy, n, channels, size[0] * size[1]))
