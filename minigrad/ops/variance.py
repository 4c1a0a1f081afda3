"""variance: var and std over any dimensions.

var: y = sum of (x - mean)^2 / (n - correction)        dx = dy 2 (x - mean) / (n - correction)

Kernel: csrc/cpu/reduce.cpp, on (outer, n, inner).
"""

import math

import numpy as np

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import empty, empty_like
from minigrad.dtypes import float64, is_floating
from minigrad.kernel import KERNELS, kernel
from minigrad.ops.operands import check_tensor
from minigrad.ops.reduce import as_dims, fold, reduced_shape
from minigrad.tensor import method


@kernel(outs=2)
def var_forward(y, mean, x, correction):
    wide = x.astype(float64)
    center = wide.sum(1, keepdims=True) / np.float64(x.shape[1])
    mean[...] = center[:, 0]
    y[...] = ((wide - center) ** 2).sum(1) / np.float64(max(0, x.shape[1] - correction))


class Var(Op):
    """y = sum of (x - mean)^2 / (n - correction)        dx = dy 2 (x - mean) / (n - correction)"""

    def forward(self, x, dims, correction, keepdim):
        self.dims, self.correction, self.keepdim = dims, correction, keepdim
        x3 = fold(x, dims)
        y = empty((x3.shape[0], x3.shape[2]), x.dtype)
        var_forward(y, empty_like(y), x3, float(correction))
        self.saved = (x,)
        return y.reshape(reduced_shape(x.shape, dims, keepdim))

    def gradient(self, dy):
        return self.slope(self.input(0, *self.saved), dy * 2)

    def slope(self, x, dy):
        """dy (x - mean) / (n - correction)"""
        free = math.prod(x.shape[d] for d in self.dims) - self.correction
        centered = x - x.mean(self.dims, True)
        return dy.reshape(reduced_shape(x.shape, self.dims, True)) * (centered * (1 / free if free > 0 else math.nan))


class Std(Var):
    """y = sqrt(var x)        dx = dy (x - mean) / ((n - correction) y), and 0 where y = 0"""

    def forward(self, x, dims, correction, keepdim):
        y = super().forward(x, dims, correction, keepdim)
        KERNELS["sqrt_forward"](y, y)
        self.saved = (x, y)
        return y

    def gradient(self, dy):
        x, y = self.input(0, self.saved[0]), self.output(self.saved[1])
        return self.slope(x, ops.where(y == 0, 0, dy / ops.where(y == 0, 1, y)))


def _spread_args(op, input, dim, unbiased, correction):
    """PyTorch's two forms: (dim, correction=) and the older (unbiased) and (dim, unbiased)."""
    check_tensor(op, input)
    if not is_floating(input.dtype):
        raise RuntimeError(f"[{op}] only floating dtypes have a variance, found {input.dtype}")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    return as_dims(op, dim, input.ndim), correction


@method
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """y = sum over dim of (x - mean)^2 / (n - correction)        dx = dy 2 (x - mean) / (n - correction)

    Args:
        dim (int or tuple, optional): everything if None.
        unbiased (bool, optional): True means correction=1, False correction=0.
        correction (int): subtracted from the number of elements.

    >>> import minigrad as mg
    >>> mg.var(mg.tensor([1.0, 2.0, 3.0, 4.0]), correction=0)
    tensor(1.2500)
    """
    dims, correction = _spread_args("var", input, dim, unbiased, correction)
    return Var.apply(input, dims, correction, keepdim)


@method
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """y = sqrt(var(x)), with gradient 0 where nothing varies; arguments as in `var`.

    >>> import minigrad as mg
    >>> mg.std(mg.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    dims, correction = _spread_args("std", input, dim, unbiased, correction)
    return Std.apply(input, dims, correction, keepdim)


__all__ = ["std", "var"]
