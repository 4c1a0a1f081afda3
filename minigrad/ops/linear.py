"""linear: y = x w^T + bias        dx = dy w, dw = dy^T x, dbias = sum of dy over rows
linear_relu: y = max(0, x w^T + bias)        the same of g = dy where y > 0, else 0

Kernels: csrc/cpu/linear.cpp. Bias and relu belong to the product's own pass over y, and dbias to the one that makes g.
"""

import math

from minigrad import ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import FLOATS, float64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.matmul import matmul, matmul_forward
from minigrad.ops.operands import check_tensor
from minigrad.tensor import Tensor, wrap


@kernel()
def linear_forward(y, x, w, bias):
    """y (rows, out) = x (rows, in) w (out, in)^T + bias (out) or None"""
    y[...] = x @ w.T
    if bias is not None:
        y += bias


@kernel()
def linear_relu_forward(y, x, w, bias):
    """y = max(0, x w^T + bias)"""
    linear_forward.reference(y, x, w, bias)
    y[y <= 0] = 0


@kernel(outs=2)
def linear_relu_backward(g, dbias, dy, y):
    """g (rows, out) = dy where y > 0, else 0; dbias (out) or None = sum of g over rows"""
    g[...] = array_module(dy).where(y > 0, dy, 0)
    if dbias is not None:
        linear_backward_bias.reference(dbias, g)


@kernel()
def linear_backward_bias(dbias, dy):
    """dbias (out) = sum of dy (rows, out) over rows"""
    dbias[...] = dy.sum(0, dtype=float64)


def _rows(x):
    """`x` in C order as a matrix of its last dimension's rows."""
    x = contiguous(x)
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Linear(Op):
    """y = x w^T + bias on the last dimension of x."""

    run = linear_forward

    def forward(self, x, w, bias):
        rows, w = _rows(x), contiguous(w)
        y = empty((rows.shape[0], w.shape[0]), x.dtype)
        self.run(y, rows, w, bias if bias is None else contiguous(bias))
        self.saved, self.shape = (rows if self.needs(1) else None, w if self.needs(0) else None), x.shape
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], w.shape[0])

    def backward(self, dy):
        dy, dbias = _rows(dy), None
        if self.needs(2):
            dbias = empty(dy.shape[1:], dy.dtype)
            linear_backward_bias(dbias, dy)
        return *self.products(dy), dbias

    def products(self, dy):
        """dx and dw, where they are wanted."""
        dx, dw, shape = None, None, self.shape
        if self.needs(0):
            dx = empty((dy.shape[0], shape[-1]), dy.dtype)
            matmul_forward(dx, dy, self.saved[1], False, False)
            dx = dx if len(shape) == 2 else dx.reshape(shape)
        if self.needs(1):
            dw = empty((dy.shape[1], shape[-1]), dy.dtype)
            matmul_forward(dw, dy, self.saved[0], True, False)
        return dx, dw

    def gradient(self, dy):
        x, w, *_ = self.saved
        rows, dx, dw = dy.reshape(-1 if dy.numel() else math.prod(dy.shape[:-1]), dy.shape[-1]), None, None
        if self.needs(0):
            dx = matmul(dy, self.input(1, w))
        if self.needs(1):
            dw = matmul(rows.transpose(0, 1), self.input(0, x.reshape(self.shape)).reshape(x.shape))
        return dx, dw, rows.sum(0) if self.needs(2) else None


class LinearRelu(Linear):
    """y = max(0, x w^T + bias)."""

    run = linear_relu_forward

    def forward(self, x, w, bias):
        y = super().forward(x, w, bias)
        self.saved = *self.saved, y
        return y

    def backward(self, dy):
        y, dy = _rows(self.saved[2]), _rows(dy)
        g, dbias = empty(dy.shape, dy.dtype), empty(dy.shape[1:], dy.dtype) if self.needs(2) else None
        linear_relu_backward(g, dbias, dy, y)
        return *self.products(g), dbias

    def gradient(self, dy):
        return super().gradient(ops.where(wrap(self.saved[2] > 0), dy, 0.0))


def linear(input, weight, bias=None):
    """y = x w^T + b        dx = dy w, dw = dy^T x, db = dy summed over rows

    Args:
        input (Tensor): (..., in). weight (Tensor): (out, in). bias (Tensor, optional): (out,).

    Errors: RuntimeError if the shapes or dtypes do not fit.

    >>> import minigrad as mg
    >>> mg.nn.functional.linear(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0]]), mg.tensor([0.5]))
    tensor([3.5000])
    """
    if not _fits(input, weight, bias):
        _check("linear", input, weight, bias)
        if not is_floating(input.dtype):
            return matmul(input, weight.t()) if bias is None else matmul(input, weight.t()) + bias
    return Linear.apply(input, weight, bias)


def linear_relu(input, weight, bias=None):
    """y = max(0, x w^T + b)        as `linear`, of dy where y > 0, else 0

    The same numbers as `relu(linear(input, weight, bias))`, without the pass between the two.

    Args and Errors: as of `linear`.

    >>> import minigrad as mg
    >>> from minigrad.ops.linear import linear_relu
    >>> linear_relu(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0], [-1.0, 0.0]]))
    tensor([3., 0.])
    """
    if not _fits(input, weight, bias):
        _check("linear_relu", input, weight, bias)
        if not is_floating(input.dtype):
            return linear(input, weight, bias).relu()
    return LinearRelu.apply(input, weight, bias)


def _fits(input, weight, bias):
    """Whether all is as it is every day: floating tensors of one dtype, and shapes that fit."""
    if not (isinstance(input, Tensor) and isinstance(weight, Tensor) and (bias is None or isinstance(bias, Tensor))):
        return False
    x, w, b = input.array, weight.array, None if bias is None else bias.array
    dtype, shape = x.dtype, w.shape
    return (
        dtype in FLOATS and w.dtype is dtype and len(shape) == 2 and x.shape[-1:] == shape[1:]
        and (b is None or (b.dtype is dtype and b.shape == shape[:1]))
    )  # fmt: skip


def _check(op, input, weight, bias):
    for name, x in (("input", input), ("weight", weight), ("bias", bias)):
        if x is not None or name != "bias":
            check_tensor(op, x, name)
            if x.dtype != input.dtype:
                raise RuntimeError(f"[{op}] {name} has dtype {x.dtype}, expected that of the input, {input.dtype}")
    if not input.ndim or weight.ndim != 2 or input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"[{op}] input {input.shape} and weight {weight.shape} cannot be multiplied: "
            "expected (..., in) and (out, in)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise RuntimeError(f"[{op}] bias has shape {bias.shape}, expected {weight.shape[:1]}")
