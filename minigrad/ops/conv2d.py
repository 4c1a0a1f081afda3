"""conv2d: y[n, o, p] = b[o] + sum over channels c and taps t of w[o, c, t] x[n, c, p stride - padding + t dilation]

But for the bias it is linear in x and in w. So its gradients are sums of products too, and so are theirs: three ops, of
which each is differentiated by the other two.

    Conv2d        y of x and w        dx by Conv2dInput of dy and w, dw by Conv2dWeight of dy and x, db: dy summed
    Conv2dInput   dx of dy and w
    Conv2dWeight  dw of dy and x

Kernels: csrc/cpu/conv2d.cpp. They take the padding above and on the left; on the other sides windows reach as far as
the size of y makes them, and find zeros too.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import bool_, float64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.operands import check_tensor
from minigrad.ops.windows import Windows, pair

# Kernels: x (n, in, h, w), w (out, in / groups, kh, kw), y (n, out, oh, ow); `numbers`: two strides, two paddings, two
# dilations and the groups


def _wide(x):
    return x.astype(float64) if is_floating(x.dtype) else x


def _split(x, groups):
    """Images (n, c, h, w) as matrices (n, groups, c / groups, h w)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, x.shape[2] * x.shape[3])


def _tap(w, groups, i, j):
    """One tap of all weights, (groups, out / groups, in / groups)."""
    return _wide(w[:, :, i, j]).reshape(groups, w.shape[0] // groups, w.shape[1])


@kernel()
def conv2d_forward(y, x, w, bias, *numbers):
    windows, groups = Windows.of((*w.shape[2:], *numbers)), numbers[-1]
    framed = windows.framed(x, y.shape[2:], _wide(x).dtype)
    total = _split(array_module(x).zeros(y.shape, framed.dtype), groups)
    for (i, j), seen in windows.taps(y.shape[2:]):
        total += _tap(w, groups, i, j) @ _split(framed[..., *seen], groups)
    y[...] = total.reshape(y.shape) + (0 if bias is None else bias[:, None, None])


@kernel()
def conv2d_backward_input(dx, dy, w, *numbers):
    windows, groups = Windows.of((*w.shape[2:], *numbers)), numbers[-1]
    shape, inside = windows.frame(dx.shape[2:], dy.shape[2:])
    framed = array_module(dx).zeros((*dx.shape[:2], *shape), _wide(dx).dtype)
    for (i, j), seen in windows.taps(dy.shape[2:]):
        part = _tap(w, groups, i, j).swapaxes(1, 2) @ _split(_wide(dy), groups)
        framed[..., *seen] += part.reshape(*dx.shape[:2], *dy.shape[2:])
    dx[...] = framed[..., *inside]


@kernel(outs=2)
def conv2d_backward_weight(dw, db, dy, x, *numbers):
    windows, groups = Windows.of((*dw.shape[2:], *numbers)), numbers[-1]
    framed = windows.framed(x, dy.shape[2:], _wide(x).dtype)
    for (i, j), seen in windows.taps(dy.shape[2:]):
        part = _split(_wide(dy), groups) @ _split(framed[..., *seen], groups).swapaxes(2, 3)
        dw[:, :, i, j] = part.sum(0).reshape(dw.shape[:2])
    if db is not None:
        db[...] = _wide(dy).sum((0, 2, 3))


class Conv2d(Op):
    """y (n, out) + `size`, of x and w with the given windows, groups last."""

    def forward(self, x, w, bias, size, windows):
        x, w, bias = contiguous(x), contiguous(w), None if bias is None else contiguous(bias)
        self.saved = x if self.needs(1) else None, w if self.needs(0) else None
        self.sizes, self.windows = (x.shape[2:], w.shape[2:]), windows
        y = empty((x.shape[0], w.shape[0], *size), x.dtype)
        conv2d_forward(y, x, w, bias, *windows)
        return y

    def backward(self, dy):
        if self.needs(2) and not self.needs(1):
            return super().backward(dy)  # db comes with dw
        (x, w), (image, window), dy, dx, dw, db = self.saved, self.sizes, contiguous(dy), None, None, None
        if self.needs(0):
            dx = empty((len(dy), w.shape[1] * self.windows[-1], *image), dy.dtype)
            conv2d_backward_input(dx, dy, w, *self.windows)
        if self.needs(1):
            dw = empty((dy.shape[1], x.shape[1] // self.windows[-1], *window), dy.dtype)
            db = empty(dy.shape[1:2], dy.dtype) if self.needs(2) else None
            conv2d_backward_weight(dw, db, dy, x, *self.windows)
        return dx, dw, db

    def gradient(self, dy):
        (x, w), (image, window) = self.saved, self.sizes
        dx = Conv2dInput.apply(dy, self.input(1, w), image, self.windows) if self.needs(0) else None
        dw = Conv2dWeight.apply(dy, self.input(0, x), window, self.windows) if self.needs(1) else None
        n, out, *size = dy.shape
        return dx, dw, dy.reshape(n, out, math.prod(size)).sum(2).sum(0) if self.needs(2) else None


class Conv2dInput(Op):
    """dx (n, in) + `size`, of dy and w."""

    def forward(self, dy, w, size, windows):
        dy, w = contiguous(dy), contiguous(w)
        self.saved, self.windows = (dy, w), windows
        dx = empty((dy.shape[0], w.shape[1] * windows[-1], *size), dy.dtype)
        conv2d_backward_input(dx, dy, w, *windows)
        return dx

    def gradient(self, g):
        dy, w = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        to_dy = Conv2d.apply(g, w, None, dy.shape[2:], self.windows) if self.needs(0) else None
        return to_dy, Conv2dWeight.apply(dy, g, w.shape[2:], self.windows) if self.needs(1) else None


class Conv2dWeight(Op):
    """dw (out, in / groups) + `size`, of dy and x."""

    def forward(self, dy, x, size, windows):
        dy, x = contiguous(dy), contiguous(x)
        self.saved, self.windows = (dy, x), windows
        dw = empty((dy.shape[1], x.shape[1] // windows[-1], *size), dy.dtype)
        conv2d_backward_weight(dw, None, dy, x, *windows)
        return dw

    def gradient(self, g):
        dy, x = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        to_dy = Conv2d.apply(x, g, None, dy.shape[2:], self.windows) if self.needs(0) else None
        return to_dy, Conv2dInput.apply(dy, g, x.shape[2:], self.windows) if self.needs(1) else None


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, p] = b[o] + sum over channels c and taps t of w[o, c, t] x[n, c, p stride - padding + t dilation]

    Args:
        input (Tensor): the images.
        weight (Tensor): one window for each output channel and each input channel of its group.
        bias (Tensor, optional): added to each output channel.
        stride (int or two): how far apart windows are, down and across.
        padding (int, two, 'valid' or 'same'): zeros on each side; 'valid' is 0, 'same' keeps the size (stride 1 only).
        dilation (int or two): how far apart the taps of a window are.
        groups (int): the channels are cut into so many groups that do not see each other.

    Shape: input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), bias (O,), output (N, O, H', W') or
        (O, H', W') with H' = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1.
    Errors: RuntimeError for shapes, dtypes or numbers that do not fit, TypeError for numbers of another type.
    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    >>> import minigrad as mg
    >>> x = mg.arange(9.0).reshape(1, 3, 3)
    >>> mg.conv2d(x, mg.ones(1, 1, 2, 2))
    tensor([[[ 8., 12.],
             [20., 24.]]])
    """
    check_arrays(input, weight, bias, groups)
    windows, size = windows_of(input, weight, stride, padding, dilation)
    images = input if input.ndim == 4 else input.unsqueeze(0)
    y = Conv2d.apply(images, weight, bias, size, (*windows.numbers()[2:], groups))
    return y if input.ndim == 4 else y.squeeze(0)


def check_arrays(input, weight, bias, groups):
    """That they fit each other. Errors: TypeError for what is no Tensor, RuntimeError for all else."""
    for name, x in (("input", input), ("weight", weight), ("bias", bias)):
        if x is not None or name != "bias":
            check_tensor("conv2d", x, name)
            if x.dtype != input.dtype or x.dtype is bool_:
                raise RuntimeError(f"[conv2d] {name} has dtype {x.dtype}, expected that of the input, and no bool")
    if input.ndim not in (3, 4) or 0 in input.shape[-2:]:
        raise RuntimeError(f"[conv2d] input {input.shape} is no image, expected (N, C, H, W) or (C, H, W)")
    if weight.ndim != 4 or 0 in (weight.shape[0], *weight.shape[2:]):
        raise RuntimeError(f"[conv2d] weight {weight.shape} does not fit, expected (out, in / groups, height, width)")
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise RuntimeError(f"[conv2d] {groups!r} groups, expected a divisor of the {weight.shape[0]} output channels")
    if input.shape[-3] != groups * weight.shape[1]:
        raise RuntimeError(
            f"[conv2d] input {input.shape} has {input.shape[-3]} channels, expected {groups * weight.shape[1]} "
            f"for weight {weight.shape} and {groups} groups"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise RuntimeError(f"[conv2d] bias has shape {bias.shape}, expected {weight.shape[:1]}")


def windows_of(input, weight, stride, padding, dilation):
    """The windows, and how many there are down and across."""
    image, kernel = input.shape[-2:], weight.shape[2:]
    stride, dilation = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    if padding == "same":
        if stride != (1, 1):
            raise RuntimeError(f"[conv2d] padding 'same' needs stride 1, found {stride}")
        above = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
        return Windows(kernel, stride, above, dilation), image
    if isinstance(padding, str) and padding != "valid":
        raise RuntimeError(f"[conv2d] padding {padding!r} is unknown, expected numbers, 'valid' or 'same'")
    padding = pair("conv2d", "padding", 0 if padding == "valid" else padding, 0)
    windows = Windows(kernel, stride, padding, dilation)
    size = windows.outputs(image)
    if min(size) < 1:
        raise RuntimeError(
            f"[conv2d] windows {kernel} with dilation {dilation} are larger than images {image} with padding {padding}"
        )
    return windows, size


__all__ = ["conv2d"]
