"""max_pool2d: a thread for each window, and back a warp for each plane."""

from minigrad.backend.array import empty_beside
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK
from minigrad.dtypes import HALVES, float32

NAMES = ["h", "w", "oh", "ow", "kh", "kw", "stride_h", "stride_w", "pad_h", "pad_w", "dil_h", "dil_w"]
pooling_type = simulator.structure("Pooling", [(name, "i4") for name in NAMES])


@launches
def max_pool2d_forward(y, index, x, *numbers):
    sizes = pooling_type.pack(*x.shape[1:], *y.shape[1:], *numbers)
    yield Launch("max_pool2d_forward", blocks_for(y.size, 256), 256, (y, index, x, len(x), sizes))


@launches
def max_pool2d_backward(dx, dy, index):
    planes, pixels, outputs = len(dx), dx[0].size if len(dx) else 0, dy[0].size if len(dy) else 0
    sums = empty_beside(dx, dx.shape, float32) if dx.dtype in HALVES else dx
    args = (sums, dy, index, planes, outputs, pixels)
    yield Launch("max_pool2d_backward", blocks_for(planes, ROWS_PER_BLOCK), 32 * ROWS_PER_BLOCK, args)
    if sums is not dx:
        yield Launch("max_pool2d_backward_round", blocks_for(dx.size, 256), 256, (dx, sums, dx.size))
