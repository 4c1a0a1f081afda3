"""conv2d_relu_pool: y = max over 2 x 2 squares of relu(conv2d(x, w, b)), without ever writing the convolution

    dw, db, dx: those of conv2d, with dy put where each maximum stood

`code` says which of a square's four outputs that is, row by row, and 4 where none is above zero. Kernels:
csrc/cpu/conv2d_relu_pool.cpp, for few channels of x; many are left to the three ops, which know faster ways for them.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import is_floating, uint8
from minigrad.kernel import kernel
from minigrad.ops.conv2d import (
    Conv2d,
    check_arrays,
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    windows_of,
)
from minigrad.ops.max_pool2d import max_pool2d
from minigrad.ops.unary import relu
from minigrad.ops.windows import pool_squares, spread_squares

FEW = 40  # elements of a window over all channels, for which the fused kernels pay

# Kernels: x (n, in, h, w), w (out, in, kh, kw), y and code (n, out, ph, pw); `numbers`: strides, paddings, dilations


@kernel(outs=2)
def conv2d_relu_pool_forward(y, code, x, w, bias, *numbers):
    n, out, rows, cols = y.shape
    full = array_module(x).empty((n, out, 2 * rows, 2 * cols), x.dtype)
    conv2d_forward.reference(full, x, w, bias, *numbers, 1)
    pool_squares(y, code, full)


@kernel(outs=2)
def conv2d_relu_pool_backward(dw, db, dy, code, x, *numbers):
    n, out, rows, cols = dy.shape
    full = array_module(dy).empty((n, out, 2 * rows, 2 * cols), dy.dtype)
    conv2d_relu_pool_spread.reference(full, dy, code)
    conv2d_backward_weight.reference(dw, db, full, x, *numbers, 1)


@kernel()
def conv2d_relu_pool_spread(full, dy, code):
    """dy at its places among the outputs of the convolution, zeros elsewhere"""
    spread_squares(full, dy, code)


class Conv2dReluPool(Op):
    """y (n, out) + half of `size`, the size of the convolution of x and w with the given windows, groups last."""

    def forward(self, x, w, bias, size, windows):
        x, w, bias = contiguous(x), contiguous(w), None if bias is None else contiguous(bias)
        shape = (len(x), len(w), size[0] // 2, size[1] // 2)
        y, code = empty(shape, x.dtype), empty(shape, uint8)
        conv2d_relu_pool_forward(y, code, x, w, bias, *windows[:6])
        self.saved, self.size, self.windows = (x, w, code), size, windows
        return y

    def backward(self, dy):
        (x, w, code), dy = self.saved, contiguous(dy)
        dx = dw = db = None
        if self.needs(0):
            full = empty((*dy.shape[:2], *self.size), dy.dtype)
            conv2d_relu_pool_spread(full, dy, code)
            conv2d_backward_input(dx := empty(x.shape, x.dtype), full, w, *self.windows)
        if self.needs(1) or self.needs(2):
            db = empty(w.shape[:1], w.dtype) if self.needs(2) else None
            conv2d_relu_pool_backward(dw := empty(w.shape, w.dtype), db, dy, code, x, *self.windows[:6])
        return dx, dw if self.needs(1) else None, db

    @staticmethod
    def composed(x, w, bias, size, windows):
        return relu(max_pool2d(Conv2d.apply(x, w, bias, size, windows), 2))


def conv2d_relu_pool(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """y = max_pool2d(relu(conv2d(input, weight, bias, stride, padding, dilation)), 2)

    One pass that never writes the convolution where windows have few elements over all channels, the three ops
    elsewhere.

    Args: as of conv2d; there is one group.
    Shape: input (N, C, H, W) or (C, H, W), weight (O, C, KH, KW), bias (O,), output (N, O, H' // 2, W' // 2) or
        (O, H' // 2, W' // 2), where (H', W') are conv2d's.
    Errors: as of conv2d and max_pool2d.

    >>> import minigrad as mg
    >>> x = mg.arange(16.0).reshape(1, 4, 4)
    >>> mg.conv2d_relu_pool(x, mg.ones(2, 1, 1, 1), mg.tensor([0.0, -10.0]))
    tensor([[[ 5.,  7.],
             [13., 15.]],
    <BLANKLINE>
            [[ 0.,  0.],
             [ 3.,  5.]]])
    """
    check_arrays(input, weight, bias, 1)
    windows, size = windows_of(input, weight, stride, padding, dilation)
    if weight[0].numel() > FEW or not is_floating(input.dtype) or min(size) < 2:
        return relu(max_pool2d(conv2d(input, weight, bias, stride, padding, dilation), 2))
    images = input if input.ndim == 4 else input.unsqueeze(0)
    y = Conv2dReluPool.apply(images, weight, bias, size, (*windows.numbers()[2:], 1))
    return y if input.ndim == 4 else y.squeeze(0)


__all__ = ["conv2d_relu_pool"]
