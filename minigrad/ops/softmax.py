"""softmax: y_i = e^x_i / sum_j e^x_j        dx = y (dy - sum_j dy_j y_j)
log_softmax: y_i = x_i - ln sum_j e^x_j        dx = dy - e^y sum_j dy_j

Kernels: csrc/cpu/softmax.cpp, along the middle of (outer, n, inner). Saved for backward: y. Both subtract the maximum
first, so nothing overflows.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, largest
from minigrad.dtypes import as_dtype, float64, get_default_dtype, is_floating
from minigrad.kernel import kernel
from minigrad.ops.elementwise import check_tensor
from minigrad.tensor import check_dim, method


@kernel()
def softmax_forward(y, x):
    xp = array_module(x)
    e = xp.exp(x - largest(x, 1))
    y[...] = e / e.sum(1, keepdims=True, dtype=float64)


@kernel()
def softmax_backward(dx, dy, y):
    dx[...] = y * (dy - (dy * y).sum(1, keepdims=True, dtype=float64))


@kernel()
def log_softmax_forward(y, x):
    xp = array_module(x)
    shifted = x - largest(x, 1)
    y[...] = shifted - xp.log(xp.exp(shifted).sum(1, keepdims=True, dtype=float64))


@kernel()
def log_softmax_backward(dx, dy, y):
    dx[...] = dy - array_module(y).exp(y) * dy.sum(1, keepdims=True, dtype=float64)


class _Along(Op):
    """An op along one dimension, by kernels on (outer, n, inner)."""

    def forward(self, x, dim):
        shape = x.shape
        self.dim = dim
        self.form = (math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])) if shape else (1, 1, 1)
        y = self.run(self.forward_kernel, x)
        self.saved = (y,)
        return y

    def backward(self, dy):
        return self.run(self.backward_kernel, dy, *self.saved)

    def run(self, kernel, x, *others):
        y = empty(x.shape, x.dtype)
        kernel(y.reshape(self.form), contiguous(x).reshape(self.form), *[a.reshape(self.form) for a in others])
        return y


class Softmax(_Along):
    forward_kernel, backward_kernel = softmax_forward, softmax_backward

    def gradient(self, dy):
        y = self.output(*self.saved)
        return y * (dy - (dy * y).sum(self.dim, True))


class LogSoftmax(_Along):
    forward_kernel, backward_kernel = log_softmax_forward, log_softmax_backward

    def gradient(self, dy):
        return dy - self.output(*self.saved).exp() * dy.sum(self.dim, True)


def _along(op, cls, input, dim, dtype):
    check_tensor(op, input)
    if dim is None:
        raise TypeError(f"[{op}] dim is missing: say along which dimension, for example -1")
    if dtype is not None or not is_floating(input.dtype):
        input = input.to(as_dtype(dtype) if dtype is not None else get_default_dtype())
    return cls.apply(input, check_dim(op, dim, input.ndim))


@method
def softmax(input, dim=None, dtype=None):
    """y_i = e^x_i / sum_j e^x_j along `dim`        dx = y (dy - sum_j dy_j y_j)

    Args:
        input (Tensor): any shape.
        dim (int): the dimension that sums to 1.
        dtype (optional): convert to this first.

    Errors: IndexError for a dim out of range, TypeError if it is missing.
    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

    >>> import minigrad as mg
    >>> mg.softmax(mg.tensor([0.0, 0.0, 0.6931]), 0)
    tensor([0.2500, 0.2500, 0.5000])
    """
    return _along("softmax", Softmax, input, dim, dtype)


@method
def log_softmax(input, dim=None, dtype=None):
    """y_i = x_i - ln sum_j e^x_j along `dim`        dx = dy - e^y sum_j dy_j

    Arguments and errors as in `softmax`.

    >>> import minigrad as mg
    >>> mg.log_softmax(mg.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return _along("log_softmax", LogSoftmax, input, dim, dtype)


__all__ = ["log_softmax", "softmax"]
