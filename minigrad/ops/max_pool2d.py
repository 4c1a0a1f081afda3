"""max_pool2d: y[p] = max over taps t of x[p stride - padding + t dilation]        dx = dy, added where the maxima stand

Two ops, each the other's gradient: `MaxPool2d` picks maxima, `AddAtMaxima` adds into their places. The padding is never
the maximum; nan is larger than any number; the first of equals counts. Kernels: csrc/cpu/max_pool2d.cpp.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import bool_, int64
from minigrad.kernel import kernel
from minigrad.ops.gather import gather
from minigrad.ops.operands import check_tensor
from minigrad.ops.windows import Windows, pair
from minigrad.tensor import wrap

# Kernels: x (planes, h, w), y and index (planes, oh, ow); an index counts row by row in its plane


@kernel(outs=2)
def max_pool2d_forward(y, index, x, *numbers):
    xp, windows, outputs = array_module(x), Windows.of(numbers), y.shape[1:]
    framed = windows.framed(x, outputs, x.dtype)
    places = windows.framed(xp.arange(1, math.prod(x.shape[1:]) + 1).reshape(x.shape[1:]), outputs, int64) - 1
    best, at = xp.zeros(y.shape, x.dtype), xp.full(y.shape, -1)
    for _, seen in windows.taps(outputs):
        value, place = framed[..., *seen], places[seen]
        wins = (place >= 0) & ((at < 0) | (~(value <= best) & (best == best)))  # the place in the padding is -1
        best, at = xp.where(wins, value, best), xp.where(wins, place, at)
    y[...], index[...] = best, at


@kernel()
def max_pool2d_backward(dx, dy, index):
    xp, size = array_module(dx), math.prod(dx.shape[1:])
    flat = index + xp.arange(len(index))[:, None, None] * size
    dx[...] = xp.bincount(flat.reshape(-1), dy.reshape(-1), dx.size).reshape(dx.shape)


class MaxPool2d(Op):
    """y and index (..., oh, ow) of x (..., h, w); `size` is (oh, ow)."""

    def forward(self, x, size, windows):
        planes, shape = math.prod(x.shape[:-2]), (*x.shape[:-2], *size)
        y, index = empty((planes, *size), x.dtype), empty((planes, *size), int64)
        max_pool2d_forward(y, index, contiguous(x).reshape(planes, *x.shape[-2:]), *windows.numbers())
        self.saved, self.shape = (index,), x.shape
        return y.reshape(shape), index.reshape(shape)

    def gradient(self, dy, _):
        return AddAtMaxima.apply(dy, *self.saved, self.shape)


class AddAtMaxima(Op):
    """dx of the given shape (..., h, w): 0, but for dy (..., oh, ow) added at index (planes, oh, ow)."""

    def forward(self, dy, index, shape):
        self.saved, self.dy_shape = (index,), dy.shape
        dx = empty(shape, dy.dtype)
        max_pool2d_backward(dx.reshape(len(index), *shape[-2:]), contiguous(dy).reshape(index.shape), index)
        return dx

    def gradient(self, g):
        (index,) = self.saved
        planes = len(index)
        flat, places = (math.prod(a.shape[-2:]) for a in (g, index))
        return gather(g.reshape(planes, flat), 1, wrap(index.reshape(planes, places))).reshape(self.dy_shape)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """y[p] = max over taps t of x[p stride - padding + t dilation]        dx = dy, added where the maxima stand

    Args:
        input (Tensor): the images.
        kernel_size (int or two): how large the windows are.
        stride (int or two, optional): how far apart they are; as large as they are unless given.
        padding (int or two): how far they may reach over the border, at most by half; never the maximum.
        dilation (int or two): how far apart the taps of a window are.
        ceil_mode (bool): keep a last window that reaches over the end.
        return_indices (bool): return where the maxima stand in their planes too, counted row by row.

    Shape: input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W') with
        H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, or ceil with `ceil_mode`.
    Errors: RuntimeError for shapes or numbers that do not fit, TypeError for numbers of another type.

    >>> import minigrad as mg
    >>> x = mg.arange(16.0).reshape(1, 4, 4)
    >>> mg.max_pool2d(x, 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    check_tensor("max_pool2d", input)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:] or input.dtype is bool_:
        raise RuntimeError(
            f"[max_pool2d] input {input.shape} of {input.dtype} is no image, expected (N, C, H, W) or (C, H, W)"
        )
    windows = _windows(kernel_size, stride, padding, dilation)
    size = windows.outputs(input.shape[-2:], ceil_mode)
    _check_windows(windows, input.shape[-2:], size)
    y, index = MaxPool2d.apply(input, size, windows)
    return (y, index) if return_indices else y


def _windows(kernel_size, stride, padding, dilation):
    op = "max_pool2d"
    kernel = pair(op, "kernel_size", kernel_size, 1)
    stride = kernel if stride in (None, [], ()) else pair(op, "stride", stride, 1)
    windows = Windows(kernel, stride, pair(op, "padding", padding, 0), pair(op, "dilation", dilation, 1))
    if any(p > k // 2 for p, k in zip(windows.padding, kernel, strict=True)):
        raise RuntimeError(f"[max_pool2d] padding {windows.padding} is more than half of kernel_size {kernel}")
    return windows


def _check_windows(windows, image, size):
    """That there are windows, and that each sees something: with a dilation one can step over a small image."""
    if min(size) < 1:
        raise RuntimeError(f"[max_pool2d] windows {windows.kernel} do not fit on images {image}: no output is left")
    if max(windows.dilation) > 1 and max(windows.padding) > 0 and any(map(windows.blind, (0, 1), image, size)):
        raise RuntimeError(
            f"[max_pool2d] a window with dilation {windows.dilation} sees only padding of images {image}"
        )


__all__ = ["max_pool2d"]
