"""rms_norm: y = xhat w with xhat = x rstd and rstd = 1 / sqrt(mean(x²) + eps), over the last dimensions

    dx = rstd (g - xhat mean(g xhat)) with g = dy w        dw = dy xhat, summed over the rows

Kernels: csrc/cpu/rms_norm.cpp, on rows: layer_norm without the mean. Saved for backward: x and rstd.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty, empty_like
from minigrad.dtypes import float64
from minigrad.kernel import kernel
from minigrad.ops.layer_norm import check_affine, check_normalized, flat, statistic
from minigrad.ops.loss import check_floating

# Kernels: x (rows, cols), weight (cols,), rstd (rows,); weight and dw may be None


@kernel(outs=2)
def rms_norm_forward(y, rstd, x, weight, eps):
    scale = ((x.astype(float64) ** 2).mean(1) + eps) ** -0.5
    y[...] = x * scale[:, None] * (1 if weight is None else weight)
    rstd[...] = scale


@kernel(outs=2)
def rms_norm_backward(dx, dw, dy, x, weight, rstd):
    xhat = x.astype(float64) * rstd[:, None]
    g = dy * (1 if weight is None else weight)
    dx[...] = (g - xhat * (g * xhat).mean(1, keepdims=True)) * rstd[:, None]
    if dw is not None:
        dw[...] = (dy * xhat).sum(0)


class RmsNorm(Op):
    """y of x and weight over the last `dims` dimensions."""

    def forward(self, x, weight, eps, dims):
        self.shape, self.normalized = x.shape, x.shape[x.ndim - dims :]
        x = contiguous(x).reshape(math.prod(x.shape[: x.ndim - dims]), math.prod(self.normalized))
        y, rstd, weight = empty_like(x), statistic(len(x), x), flat(weight)
        rms_norm_forward(y, rstd, x, weight, eps)
        self.saved = x, weight, rstd
        return y.reshape(self.shape)

    def backward(self, dy):
        x, weight, rstd = self.saved
        dx, dw = empty_like(x), empty((x.shape[1],), weight.dtype) if self.needs(1) else None
        rms_norm_backward(dx, dw, contiguous(dy).reshape(x.shape), x, weight, rstd)
        return dx.reshape(self.shape), None if dw is None else dw.reshape(self.normalized)

    @staticmethod
    def composed(x, weight, eps, dims):
        last = tuple(range(x.ndim - dims, x.ndim))
        y = x / ((x * x).mean(last, True) + eps).sqrt()
        return y if weight is None else y * weight


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """y = x / sqrt(mean(x²) + eps) w, the mean over the last dimensions

    Args:
        input (Tensor): any shape that ends with `normalized_shape`.
        normalized_shape (tuple): over what the mean is taken.
        weight (Tensor, optional): of that shape.
        eps (float, optional): added to the mean; if None the step from 1 to the next number of the input's dtype, or
            of float32 for smaller dtypes.

    Shape: that of the input.
    Errors: RuntimeError for shapes or dtypes that do not fit, TypeError for arguments of another type.
    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> import minigrad as mg
    >>> mg.nn.functional.rms_norm(mg.tensor([[1.0, 7.0], [5.0, 5.0]]), (2,))
    tensor([[0.2000, 1.4000],
            [1.0000, 1.0000]])
    """
    check_floating("rms_norm", input)
    shape = check_normalized("rms_norm", input, normalized_shape)
    check_affine("rms_norm", input, weight, None, shape)
    if eps is None:
        eps = 2.0**-52 if input.dtype is float64 else 2.0**-23
    return RmsNorm.apply(input, weight, float(eps), len(shape))


__all__ = ["rms_norm"]
