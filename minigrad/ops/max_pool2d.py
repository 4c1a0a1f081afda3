"""max_pool2d: y = the largest x of each window        dx = dy at the place of the maximum, summed where windows overlap

The first maximum of a window wins, and nan wins over all. Kernels: csrc/cpu/max_pool2d.cpp, on (planes, height, width); the
index of a maximum is its place in its plane, h * width + w. Saved for backward: the indices.
"""

import math

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import int64
from minigrad.kernel import kernel
from minigrad.ops.layer_norm import check_float_input
from minigrad.tensor import wrap


@kernel(outs=2)
def max_pool2d_forward(y, index, x, kh, kw, sh, sw, ph, pw, dh, dw):
    """x (planes, h, w); y, index (planes, oh, ow)"""
    xp = array_module(x)
    (_, h, w), (_, oh, ow) = x.shape, y.shape
    rows = (xp.arange(oh)[:, None] * sh + xp.arange(kh) * dh - ph)[:, None, :, None]
    cols = (xp.arange(ow)[:, None] * sw + xp.arange(kw) * dw - pw)[None, :, None, :]
    inside = (rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)
    place = xp.where(inside, rows * w + cols, 0).reshape(oh, ow, kh * kw)
    if not inside.any((2, 3)).all():
        raise ValueError("[max_pool2d] a window holds nothing but padding")
    flat = x.reshape(len(x), h * w)
    windows = xp.where(inside.reshape(oh, ow, kh * kw), flat[:, place] if flat.size else x.dtype.type(0), -xp.inf)
    best = (
        xp.where(xp.isnan(windows), xp.inf, windows) if not xp.isnan(windows).any() else _nan_first(xp, windows)
    ).argmax(-1)
    # among windows of -inf only the first place inside counts
    best = xp.where(windows.max(-1) == -xp.inf, inside.reshape(oh, ow, -1).argmax(-1), best)
    index[...] = xp.take_along_axis(xp.broadcast_to(place, windows.shape), best[..., None], -1)[..., 0]
    y[...] = xp.take_along_axis(windows, best[..., None], -1)[..., 0]


def _nan_first(xp, windows):
    """1 at nans where a window has some, else the window's ranks by value."""
    has = xp.isnan(windows).any(-1, keepdims=True)
    return xp.where(has, xp.isnan(windows), windows)


@kernel()
def max_pool2d_backward(dx, dy, index):
    dx[...] = 0
    flat = dx.reshape(len(dx), -1)
    if ((index < 0) | (index >= flat.shape[1])).any():
        raise ValueError("[max_pool2d_backward] an index lies outside its plane")
    for plane, grads, places in zip(flat, dy.reshape(len(dy), -1), index.reshape(len(dy), -1), strict=True):
        array_module(dx).add.at(plane, places, grads)


class MaxPool2d(Op):
    def forward(self, x, shape, window):
        planes = contiguous(x).reshape(-1, *x.shape[-2:]) if x.size else x.reshape(0, *x.shape[-2:])
        y = empty((len(planes), *shape), x.dtype)
        index = empty(y.shape, int64)
        if y.size:
            max_pool2d_forward(y, index, planes, *window)
        self.saved, self.shape = (index,), x.shape
        lead = x.shape[:-2]
        return y.reshape(*lead, *shape), index.reshape(*lead, *shape)

    def backward(self, dy, _):
        (index,) = self.saved
        return _scatter(dy, index, self.shape)

    def gradient(self, dy, _):
        return Unpool.apply(dy, wrap(*self.saved), self.shape)


def _scatter(dy, index, shape):
    dx = empty((len(index), *shape[-2:]), dy.dtype)
    max_pool2d_backward(dx, contiguous(dy).reshape(index.shape), index)
    return dx.reshape(shape)


class Unpool(Op):
    """dx = dy at the maxima: the gradient of max_pool2d as an op, whose own gradient gathers."""

    def forward(self, dy, index, shape):
        self.saved, self.shape = (index,), dy.shape
        return _scatter(dy, index, shape)

    def gradient(self, ddx):
        (index,) = self.saved
        flat = ddx.reshape(len(index), math.prod(ddx.shape[-2:]))
        return ops.gather(flat, 1, wrap(index.reshape(len(index), -1))).reshape(self.shape)


def pair(op, name, value, least):
    """An int or two as two. Errors: TypeError for anything else, RuntimeError below `least`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise TypeError(f"[{op}] {name} must be an int or two ints, found {value!r}")
    if any(v < least for v in values):
        raise RuntimeError(f"[{op}] {name} must be at least {least}, found {value!r}")
    return tuple(v.__index__() for v in values)


def _pooled(size, k, s, p, d, ceil_mode):
    n = (size + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    return n - 1 if ceil_mode and (n - 1) * s >= size + p else n  # no window may start in the padding behind


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """y = the largest element of each window        dx = dy at its place

    Args:
        input (Tensor): (N, C, H, W) or (C, H, W), floating.
        kernel_size, stride (default: kernel_size), padding, dilation: int or (rows, columns).
        ceil_mode (bool): let the last window hang over the edge.
        return_indices (bool): return (y, indices) with the place h * W + w of each maximum.

    Shape: H_out = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.
    Errors: RuntimeError for other dimensions, padding above half the window, or an input smaller than the window.

    >>> import minigrad as mg
    >>> mg.nn.functional.max_pool2d(mg.arange(16.0).view(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    check_float_input("max_pool2d", input)
    if input.ndim not in (3, 4) or 0 in input.shape[1 if input.ndim == 4 else 0 :]:
        raise RuntimeError(f"[max_pool2d] input has shape {input.shape}, expected (N, C, H, W) or (C, H, W), not empty")
    k = pair("max_pool2d", "kernel_size", kernel_size, 1)
    s = k if stride is None or stride == () or stride == [] else pair("max_pool2d", "stride", stride, 1)
    p, d = pair("max_pool2d", "padding", padding, 0), pair("max_pool2d", "dilation", dilation, 1)
    if any(2 * a > b for a, b in zip(p, k, strict=True)):
        raise RuntimeError(f"[max_pool2d] padding {padding} must be at most half of kernel_size {kernel_size}")
    shape = tuple(_pooled(n, *w, ceil_mode) for n, *w in zip(input.shape[-2:], k, s, p, d, strict=True))
    if min(shape) < 1:
        raise RuntimeError(
            f"[max_pool2d] input {input.shape} is smaller than the window {k}: the output would be {shape}"
        )
    y, index = MaxPool2d.apply(input, shape, (*k, *s, *p, *d))
    return (y, index) if return_indices else y


__all__ = ["max_pool2d"]
