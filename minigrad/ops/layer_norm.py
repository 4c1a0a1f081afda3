"""layer_norm: y = (x - mean) rstd w + b, mean and rstd = 1 / sqrt(var + eps) over the last dimensions of each sample

    xhat = (x - mean) rstd, g = dy w
    dx = rstd (g - mean(g) - xhat mean(g xhat))        dw = sum dy xhat        db = sum dy

Kernels: csrc/cpu/layer_norm.cpp, on (rows, cols). Saved for backward: x, w, mean, rstd.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, empty_like
from minigrad.dtypes import float64, is_floating
from minigrad.kernel import kernel
from minigrad.tensor import Tensor


@kernel(outs=3)
def layer_norm_forward(y, mean, rstd, x, weight, bias, eps):
    wide = x.astype(float64)
    center = wide.mean(-1, keepdims=True)
    scale = 1 / array_module(x).sqrt(((wide - center) ** 2).mean(-1, keepdims=True) + eps)
    out = (wide - center) * scale
    out = out if weight is None else out * weight
    y[...] = out if bias is None else out + bias
    mean[...], rstd[...] = center[:, 0], scale[:, 0]


@kernel(outs=3)
def layer_norm_backward(dx, dw, db, dy, x, weight, mean, rstd):
    xhat = (x.astype(float64) - mean[:, None]) * rstd[:, None]
    g = dy.astype(float64) if weight is None else dy.astype(float64) * weight
    dx[...] = rstd[:, None] * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    if dw is not None:
        dw[...] = (dy * xhat).sum(0)
    if db is not None:
        db[...] = dy.sum(0, dtype=float64)


class LayerNorm(Op):
    def forward(self, x, weight, bias, cols, eps):
        rows = contiguous(x).reshape(-1, cols) if x.size else x.reshape(x.size // max(1, cols), cols)
        weight = None if weight is None else contiguous(weight).reshape(cols)
        bias = None if bias is None else contiguous(bias).reshape(cols)
        y, mean = empty_like(rows), empty((len(rows),), x.dtype)
        rstd = empty_like(mean)
        layer_norm_forward(y, mean, rstd, rows, weight, bias, eps)
        self.saved, self.shape, self.eps = (rows, weight, mean, rstd), x.shape, eps
        return y.reshape(x.shape)

    def backward(self, dy):
        rows, weight, mean, rstd = self.saved
        dx = empty_like(rows)
        dw, db = (empty((rows.shape[1],), dy.dtype) if self.needs(i) else None for i in (1, 2))
        layer_norm_backward(dx, dw, db, contiguous(dy).reshape(rows.shape), rows, weight, mean, rstd)
        return dx.reshape(self.shape), self.shaped(dw), self.shaped(db)

    def shaped(self, g):
        return None if g is None else g.reshape(self.args[1 if self.args[1] is not None else 2].shape)

    def composed(self, x, weight, bias, cols, eps):
        rows = x.reshape(x.numel() // max(1, cols), cols)
        centered = rows - rows.mean(1, True)
        out = (centered / ((centered * centered).mean(1, True) + eps).sqrt()).reshape(x.shape)
        out = out if weight is None else out * weight
        return out if bias is None else out + bias


def check_affine(op, shape, input, **parameters):
    """Raise unless the given weights and biases are Tensors of this shape and the input's dtype."""
    for name, value in parameters.items():
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"[{op}] {name} must be a Tensor, found {type(value).__name__}")
        if value.shape != shape or value.dtype != input.dtype:
            expected = f"{shape} of {input.dtype}"
            raise RuntimeError(f"[{op}] {name} has shape {value.shape} and dtype {value.dtype}, expected {expected}")


def check_float_input(op, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"[{op}] input must be a Tensor, found {type(input).__name__}")
    if not is_floating(input.dtype):
        raise RuntimeError(f"[{op}] input must be floating, found {input.dtype}")


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) var over the last dimensions of each sample

    Args:
        input (Tensor): (..., *normalized_shape), floating.
        normalized_shape (tuple): the sizes of the last dimensions.
        weight, bias (Tensor, optional): of shape `normalized_shape`.
        eps (float): keeps the root away from 0.

    Errors: RuntimeError if the input does not end in `normalized_shape` or a parameter does not have that shape.
    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import minigrad as mg
    >>> mg.nn.functional.layer_norm(mg.tensor([1.0, 2.0, 3.0, 4.0]), (4,))
    tensor([-1.3416, -0.4472,  0.4472,  1.3416])
    """
    check_float_input("layer_norm", input)
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(f"[layer_norm] input has shape {input.shape}, expected one that ends in {shape}")
    check_affine("layer_norm", shape, input, weight=weight, bias=bias)
    return LayerNorm.apply(input, weight, bias, math.prod(shape), float(eps))


__all__ = ["layer_norm"]
