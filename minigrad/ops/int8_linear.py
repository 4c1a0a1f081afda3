"""int8_linear: y = (x w^T) s + b, w of one byte each, s one scale for each row of w        dx = (dy s) w

Kernels: csrc/cpu/int8_linear.cpp. Few rows of x are bound by the reading of the weights, a quarter of float32's.
"""

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty
from minigrad.dtypes import float32, int8, is_floating
from minigrad.kernel import kernel
from minigrad.ops.linear import as_rows, linear
from minigrad.ops.operands import check_tensor


@kernel()
def int8_linear_forward(y, x, w, scale, bias):
    """y (rows, out) = (x (rows, in) w (out, in)^T) scale (out) + bias (out) or None"""
    y[...] = (x @ w.astype(x.dtype).T) * scale
    if bias is not None:
        y += bias


class Int8Linear(Op):
    """y = (x w^T) scale + bias on the last dimension of x."""

    def forward(self, x, w, scale, bias):
        rows = as_rows(x)
        y = empty((rows.shape[0], w.shape[0]), x.dtype)
        int8_linear_forward(y, rows, contiguous(w), contiguous(scale), bias if bias is None else contiguous(bias))
        return y.reshape(*x.shape[:-1], w.shape[0])

    def composed(self, x, w, scale, bias):
        y = linear(x, w.to(x.dtype)) * scale
        return (y if bias is None else y + bias).to(x.dtype)


def int8_linear(input, weight, scale, bias=None):
    """y = (x w^T) s + b        dx = (dy s) w: a linear layer whose weights are whole numbers, -127 to 127, times s

    Args:
        input (Tensor): (..., in), floating. weight (Tensor): (out, in), int8.
        scale (Tensor): (out,), float32 or of the input's dtype. bias (Tensor, optional): (out,), of the input's dtype.

    Errors: RuntimeError if shapes or dtypes do not fit.

    Source: Dettmers et al., LLM.int8(), 2022 (one scale for each row; here the input stays floating).

    >>> import minigrad as mg
    >>> from minigrad.ops.int8_linear import int8_linear
    >>> w = mg.tensor([[127, -127]], dtype=mg.int8)
    >>> int8_linear(mg.tensor([2.0, 1.0]), w, mg.tensor([0.5]))
    tensor([63.5000])
    """
    _check(input, weight, scale, bias)
    return Int8Linear.apply(input, weight, scale, bias)


def _check(input, weight, scale, bias):
    given = {"input": input, "weight": weight, "scale": scale} | ({} if bias is None else {"bias": bias})
    for name, x in given.items():
        check_tensor("int8_linear", x, name)
    out, dtype = weight.shape[:1], input.dtype
    if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"[int8_linear] input {input.shape} and weight {weight.shape} cannot be multiplied: "
            "expected (..., in) and (out, in)"
        )
    for name, x in given.items():
        if name in ("scale", "bias") and x.shape != out:
            raise RuntimeError(f"[int8_linear] {name} has shape {x.shape}, expected {out}")
    fits = is_floating(dtype) and weight.dtype is int8 and scale.dtype in (float32, dtype)
    if not fits or (bias is not None and bias.dtype is not dtype):
        found = ", ".join(f"{name} {x.dtype}" for name, x in given.items())
        raise RuntimeError(
            f"[int8_linear] found {found}, expected a floating input, int8, float32 and the input's dtype"
        )
