"""conv2d: y[n, o] = sum over c, i, j of x[n, c, i', j'] w[o, c, i, j] + b[o], i' and j' by stride, padding and dilation

    dx = the transposed convolution of dy and w        dw = the correlation of x and dy        db = sum of dy

The three are bilinear, so each is an op whose gradients are the other two: any order of derivative comes free. `groups` parts
the channels into that many independent convolutions. `geometry` stands for (strides, paddings, dilations, groups), as the
kernels take them.
"""

import numpy as np

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty
from minigrad.kernel import kernel
from minigrad.ops.layer_norm import check_float_input
from minigrad.ops.max_pool2d import pair
from minigrad.tensor import Tensor


def _windows(x, kernel_size, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w):
    """x (n, c, h, w), padded, as a view (n, c, oh, ow, kh, kw) of all windows."""
    x = np.pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    span = [d * (k - 1) + 1 for k, d in zip(kernel_size, (dil_h, dil_w), strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return views[:, :, ::stride_h, ::stride_w, ::dil_h, ::dil_w]


def _grouped(a, axis, groups):
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


@kernel()
def conv2d_forward(y, x, w, bias, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups):
    views = _windows(x.astype(np.float64), w.shape[2:], stride_h, stride_w, pad_h, pad_w, dil_h, dil_w)
    out = np.einsum("ngchwij,gocij->ngohw", _grouped(views, 1, groups), _grouped(w, 0, groups), optimize=True)
    y[...] = out.reshape(y.shape)
    if bias is not None:
        y += bias[:, None, None]


@kernel()
def conv2d_backward_input(dx, dy, w, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups):
    n, c, h, width = dx.shape
    padded = np.zeros((n, c, h + 2 * pad_h, width + 2 * pad_w))
    oh, ow = dy.shape[2:]
    wide, kernels = _grouped(dy.astype(np.float64), 1, groups), _grouped(w, 0, groups)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = np.einsum("ngohw,goc->ngchw", wide, kernels[..., i, j], optimize=True).reshape(n, c, oh, ow)
            rows, cols = (
                slice(i * dil_h, i * dil_h + oh * stride_h, stride_h),
                slice(j * dil_w, j * dil_w + ow * stride_w, stride_w),
            )
            padded[:, :, rows, cols] += part
    dx[...] = padded[:, :, pad_h : pad_h + h, pad_w : pad_w + width]


@kernel()
def conv2d_backward_weight(dw, dy, x, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups):
    views = _windows(x.astype(np.float64), dw.shape[2:], stride_h, stride_w, pad_h, pad_w, dil_h, dil_w)
    views = views[:, :, : dy.shape[2], : dy.shape[3]]
    out = np.einsum("ngchwij,ngohw->gocij", _grouped(views, 1, groups), _grouped(dy, 1, groups), optimize=True)
    dw[...] = out.reshape(dw.shape)


class Conv2d(Op):
    def forward(self, x, w, bias, shape, geometry):
        y = empty(shape, x.dtype)
        conv2d_forward(y, contiguous(x), contiguous(w), bias, *geometry)
        self.saved, self.geometry = (x, w), geometry
        return y

    def gradient(self, dy):
        x, w = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        dx = ConvInput.apply(dy, w, x.shape, self.geometry) if self.needs(0) else None
        dw = ConvWeight.apply(dy, x, w.shape, self.geometry) if self.needs(1) else None
        return dx, dw, dy.sum((0, 2, 3)) if self.needs(2) else None


class ConvInput(Op):
    """dx from dy and w"""

    def forward(self, dy, w, shape, geometry):
        dx = empty(shape, dy.dtype)
        conv2d_backward_input(dx, contiguous(dy), contiguous(w), *geometry)
        self.saved, self.geometry = (dy, w), geometry
        return dx

    def gradient(self, ddx):
        dy, w = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        ddy = Conv2d.apply(ddx, w, None, dy.shape, self.geometry) if self.needs(0) else None
        return ddy, ConvWeight.apply(dy, ddx, w.shape, self.geometry) if self.needs(1) else None


class ConvWeight(Op):
    """dw from dy and x"""

    def forward(self, dy, x, shape, geometry):
        dw = empty(shape, dy.dtype)
        conv2d_backward_weight(dw, contiguous(dy), contiguous(x), *geometry)
        self.saved, self.geometry = (dy, x), geometry
        return dw

    def gradient(self, ddw):
        dy, x = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        ddy = Conv2d.apply(x, ddw, None, dy.shape, self.geometry) if self.needs(0) else None
        return ddy, ConvInput.apply(dy, ddw, x.shape, self.geometry) if self.needs(1) else None


def _padding(padding, kernel_size, stride, dilation):
    """((top, left), (extra bottom, extra right)) for numbers, "valid" and "same"."""
    if not isinstance(padding, str):
        return pair("conv2d", "padding", padding, 0), (0, 0)
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise ValueError(f"[conv2d] padding must be ints, 'same' or 'valid', found {padding!r}")
    if stride != (1, 1):
        raise RuntimeError(f"[conv2d] padding='same' needs stride 1, found {stride}")
    totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    return tuple(t // 2 for t in totals), tuple(t % 2 for t in totals)


def _check(input, weight, bias, groups):
    check_float_input("conv2d", input)
    if not isinstance(weight, Tensor) or weight.ndim != 4 or input.ndim not in (3, 4) or weight.dtype != input.dtype:
        found = f"{weight.shape} of {weight.dtype}" if isinstance(weight, Tensor) else type(weight).__name__
        raise RuntimeError(
            f"[conv2d] input {input.shape} of {input.dtype} and weight {found}, expected (N, C, H, W) or (C, H, W) and "
            "(out, C / groups, kh, kw) of one dtype"
        )
    if groups < 1 or weight.shape[0] % groups or input.shape[-3] != weight.shape[1] * groups or 0 in weight.shape:
        raise RuntimeError(f"[conv2d] input {input.shape} and weight {weight.shape} do not fit with groups={groups}")
    if bias is not None and (bias.shape != weight.shape[:1] or bias.dtype != input.dtype):
        raise RuntimeError(f"[conv2d] bias {bias.shape} of {bias.dtype}, expected {weight.shape[:1]} of {input.dtype}")


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o] = sum over c, i, j of x[n, c, stride h + dilation i - padding, ...] w[o, c, i, j] + b[o]

    Args:
        input (Tensor): (N, C, H, W) or (C, H, W), floating. weight: (out, C / groups, kh, kw). bias (optional): (out,).
        stride, padding, dilation: int or (rows, columns); padding also "valid" (none) or "same" (stride 1 only).
        groups (int): independent parts of the channels.

    Shape: H_out = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1.
    Errors: RuntimeError if shapes, dtypes or groups do not fit, or the input is smaller than the kernel.
    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    >>> import minigrad as mg
    >>> mg.nn.functional.conv2d(mg.ones(1, 1, 3, 3), mg.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    _check(input, weight, bias, groups)
    s, d = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    p, extra = _padding(padding, weight.shape[2:], s, d)
    x = input if input.ndim == 4 else input.unsqueeze(0)
    if any(extra):
        x = _pad_end(x, extra)
    sizes = zip(x.shape[2:], weight.shape[2:], s, p, d, strict=True)
    shape = tuple((n + 2 * q - r * (k - 1) - 1) // t + 1 for n, k, t, q, r in sizes)
    if min(shape) < 1:
        raise RuntimeError(
            f"[conv2d] input {input.shape} is smaller than the kernel {weight.shape[2:]} at dilation {d}"
        )
    y = Conv2d.apply(x, weight, bias, (x.shape[0], weight.shape[0], *shape), (*s, *p, *d, int(groups)))
    return y if input.ndim == 4 else y.squeeze(0)


def _pad_end(x, extra):
    """A row of zeros below and a column to the right, where asked for."""
    from minigrad.ops import cat, zeros

    for dim, more in zip((2, 3), extra, strict=True):
        if more:
            shape = (*x.shape[:dim], more, *x.shape[dim + 1 :])
            x = cat([x, zeros(shape, dtype=x.dtype)], dim)
    return x


__all__ = ["conv2d"]
