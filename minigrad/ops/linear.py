"""linear: y = x w^T + bias        dx = dy w, dw = dy^T x, dbias = sum of dy over rows

Kernels: csrc/cpu/linear.cpp. What may follow it in the same pass is in linear_fused.py.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty
from minigrad.dtypes import FLOATS, float64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.matmul import matmul, matmul_forward
from minigrad.ops.operands import check_tensor
from minigrad.tensor import Tensor


@kernel()
def linear_forward(y, x, w, bias):
    """y (rows, out) = x (rows, in) w (out, in)^T + bias (out) or None"""
    y[...] = x @ w.T
    if bias is not None:
        y += bias


@kernel()
def linear_backward_bias(dbias, dy):
    """dbias (out) = sum of dy (rows, out) over rows"""
    dbias[...] = dy.sum(0, dtype=float64)


def as_rows(x):
    """`x` in C order as a matrix of its last dimension's rows."""
    x = contiguous(x)
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Linear(Op):
    """y = x w^T + bias on the last dimension of x."""

    run = linear_forward

    def forward(self, x, w, bias):
        rows, w = as_rows(x), contiguous(w)
        y = empty((rows.shape[0], w.shape[0]), x.dtype)
        self.run(y, rows, w, bias if bias is None else contiguous(bias))
        self.saved, self.shape = (rows if self.needs(1) else None, w if self.needs(0) else None), x.shape
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], w.shape[0])

    def backward(self, dy):
        dy, dbias = as_rows(dy), None
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


def linear(input, weight, bias=None):
    """y = x w^T + b        dx = dy w, dw = dy^T x, db = dy summed over rows

    Args:
        input (Tensor): (..., in). weight (Tensor): (out, in). bias (Tensor, optional): (out,).

    Errors: RuntimeError if the shapes or dtypes do not fit.

    >>> import minigrad as mg
    >>> mg.nn.functional.linear(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0]]), mg.tensor([0.5]))
    tensor([3.5000])
    """
    if not fits(input, weight, bias):
        check("linear", input, weight, bias)
        if not is_floating(input.dtype):
            return matmul(input, weight.t()) if bias is None else matmul(input, weight.t()) + bias
    return Linear.apply(input, weight, bias)


def fits(input, weight, bias):
    """Whether all is as it is every day: floating tensors of one dtype, and shapes that fit."""
    if not (isinstance(input, Tensor) and isinstance(weight, Tensor) and (bias is None or isinstance(bias, Tensor))):
        return False
    x, w, b = input.array, weight.array, None if bias is None else bias.array
    dtype, shape = x.dtype, w.shape
    return (
        dtype in FLOATS and w.dtype is dtype and len(shape) == 2 and x.shape[-1:] == shape[1:]
        and (b is None or (b.dtype is dtype and b.shape == shape[:1]))
    )  # fmt: skip


def check(op, input, weight, bias):
    """Say what does not fit."""
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
