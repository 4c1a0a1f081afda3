"""layer_norm: y = xhat w + b with xhat = (x - mean) rstd and rstd = 1 / sqrt(var + eps), over the last dimensions

    dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy w        dw = dy xhat, db = dy, summed over the rows

Kernels: csrc/cpu/layer_norm.cpp, on rows. Saved for backward: x, mean and rstd; xhat is made again.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty, empty_like
from minigrad.dtypes import HALVES, float32, float64
from minigrad.kernel import kernel
from minigrad.ops.loss import check_floating
from minigrad.ops.operands import check_tensor

# Kernels: x (rows, cols), weight, bias (cols,), mean, rstd (rows,); weight, bias, dw and db may be None


def _xhat(x, mean, rstd):
    return (x.astype(float64) - mean[:, None]) * rstd[:, None]


@kernel(outs=3)
def layer_norm_forward(y, mean, rstd, x, weight, bias, eps):
    center = x.mean(1, dtype=float64)
    scale = (((x - center[:, None]) ** 2).mean(1) + eps) ** -0.5
    y[...] = _xhat(x, center, scale) * (1 if weight is None else weight) + (0 if bias is None else bias)
    mean[...], rstd[...] = center, scale


@kernel(outs=3)
def layer_norm_backward(dx, dw, db, dy, x, weight, mean, rstd):
    xhat = _xhat(x, mean, rstd)
    g = dy * (1 if weight is None else weight)
    dx[...] = (g - g.mean(1, keepdims=True, dtype=float64) - xhat * (g * xhat).mean(1, keepdims=True)) * rstd[:, None]
    if dw is not None:
        dw[...] = (dy * xhat).sum(0)
    if db is not None:
        db[...] = dy.sum(0, dtype=float64)


class LayerNorm(Op):
    """y of x, weight and bias over the last `dims` dimensions."""

    def forward(self, x, weight, bias, eps, dims):
        self.shape, self.normalized = x.shape, x.shape[x.ndim - dims :]
        x = contiguous(x).reshape(math.prod(x.shape[: x.ndim - dims]), math.prod(self.normalized))
        y, mean, rstd = empty_like(x), statistic(len(x), x), statistic(len(x), x)
        weight, bias = flat(weight), flat(bias)
        layer_norm_forward(y, mean, rstd, x, weight, bias, eps)
        self.saved, self.bias_dtype = (x, weight, mean, rstd), None if bias is None else bias.dtype
        return y.reshape(self.shape)

    def backward(self, dy):
        x, weight, mean, rstd = self.saved
        dx, cols = empty_like(x), (x.shape[1],)
        dw = empty(cols, weight.dtype) if self.needs(1) else None
        db = empty(cols, self.bias_dtype) if self.needs(2) else None
        layer_norm_backward(dx, dw, db, contiguous(dy).reshape(x.shape), x, weight, mean, rstd)
        grads = (dx.reshape(self.shape), dw, db)
        return [g if i == 0 or g is None else g.reshape(self.normalized) for i, g in enumerate(grads)]

    @staticmethod
    def composed(x, weight, bias, eps, dims):
        last = tuple(range(x.ndim - dims, x.ndim))
        centered = x - x.mean(last, True)
        y = centered / ((centered * centered).mean(last, True) + eps).sqrt()
        y = y if weight is None else y * weight
        return y if bias is None else y + bias


def statistic(count, x):
    """An array for a number of each row or channel of `x`; those of halves are kept in float32."""
    return empty((count,), float32 if x.dtype in HALVES else x.dtype)


def flat(x):
    return None if x is None else contiguous(x).reshape(x.size)


def check_normalized(op, input, normalized_shape):
    """`normalized_shape` as a tuple with which the shape of the input ends."""
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(f"[{op}] normalized_shape must be a tuple, found {type(normalized_shape).__name__}")
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(f"[{op}] input {input.shape} does not end with normalized_shape {shape}")
    return shape


def check_affine(op, input, weight, bias, shape):
    """That weight and bias, where given, have this shape and the dtype of the input (or float32 for halves)."""
    for name, x in (("weight", weight), ("bias", bias)):
        if x is None:
            continue
        check_tensor(op, x, name)
        if x.shape != shape:
            raise RuntimeError(f"[{op}] {name} has shape {x.shape}, expected {shape} for input {input.shape}")
        if x.dtype != input.dtype and not (input.dtype in HALVES and x.dtype == float32):
            raise RuntimeError(f"[{op}] {name} has dtype {x.dtype}, expected that of the input, {input.dtype}")


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """y = (x - mean) / sqrt(var + eps) w + b, mean and (biased) variance over the last dimensions

    Args:
        input (Tensor): any shape that ends with `normalized_shape`.
        normalized_shape (tuple): over what mean and variance are taken.
        weight, bias (Tensor, optional): of that shape.
        eps (float): added to the variance.

    Shape: that of the input.
    Errors: RuntimeError for shapes or dtypes that do not fit, TypeError for arguments of another type.
    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import minigrad as mg
    >>> mg.layer_norm(mg.tensor([[1.0, 3.0], [5.0, 5.0]]), (2,), eps=0.5)
    tensor([[-0.8165,  0.8165],
            [ 0.0000,  0.0000]])
    """
    check_floating("layer_norm", input)
    shape = check_normalized("layer_norm", input, normalized_shape)
    check_affine("layer_norm", input, weight, bias, shape)
    return LayerNorm.apply(input, weight, bias, float(eps), len(shape))


__all__ = ["layer_norm"]
