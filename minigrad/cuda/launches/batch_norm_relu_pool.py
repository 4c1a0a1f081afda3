"""batch_norm_relu_pool: a block for each channel's sums, then a thread for each square, and back for each pixel."""

import numpy as np

from minigrad.backend.array import empty_like
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches, wide

NAMES = "channels", "h", "w", "rows", "cols"
simulator.structures["Squares"] = squares_type = np.dtype([(name, "i4") for name in NAMES])


def squares(x, y):
    return np.array((*x.shape[1:], *y.shape[2:]), squares_type)


@launches
@wide("mean", "var")
def batch_norm_relu_pool_forward(y, code, mean, var, x, weight, bias, eps):
    n, channels, h, w = x.shape
    yield Launch("batch_norm_relu_pool_forward_statistics", channels, 256, (mean, var, x, n, channels, h * w))
    args = (y, code, x, mean, var, weight, bias, eps, y.size, squares(x, y))
    yield Launch("batch_norm_relu_pool_forward", blocks_for(y.size, 256), 256, args)


@launches
@wide("mean", "var")
def batch_norm_relu_pool_backward(dx, dw, db, dy, code, x, weight, mean, var, eps):
    across, along = empty_like(mean), empty_like(mean)
    n, sizes = len(x), squares(x, dy)
    sums = (across, along, dw, db, dy, code, x, mean, var, eps, n, sizes)
    yield Launch("batch_norm_relu_pool_backward_sums", x.shape[1], 256, sums)
    args = (dx, dy, code, x, weight, mean, var, across, along, eps, x.size, sizes)
    yield Launch("batch_norm_relu_pool_backward_input", blocks_for(x.size, 256), 256, args)
