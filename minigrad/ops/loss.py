"""loss: what the losses share: reductions, losses of every element (`pointwise`), and the rows of losses of classes.

Read next: mse_loss.py, binary_cross_entropy.py, nll_loss.py, cross_entropy.py.
"""

import math

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, empty_like
from minigrad.dtypes import float64, int64, is_floating, uint8
from minigrad.kernel import kernel
from minigrad.ops.elementwise import check_tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(op, reduction):
    if reduction not in REDUCTIONS:
        raise ValueError(f"[{op}] {reduction!r} is not a valid reduction, expected 'mean', 'sum' or 'none'")


def reduced(losses, reduction):
    """The losses of the elements as one: their mean, their sum, or as they are."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def check_floating(op, value, argument="input"):
    check_tensor(op, value, argument)
    if not is_floating(value.array.dtype):
        raise RuntimeError(f"[{op}] {argument} must be floating, found {value.dtype}")


# Losses of every element ---------------------------------------------------------------------------------------------


class Pointwise(Op):
    """l = value(x, t) for every element, and the reduction: one kernel forward, one backward. See `pointwise`."""

    def forward(self, x, t, reduction):
        x, t = contiguous(x), contiguous(t)
        loss = empty(x.shape if reduction == "none" else (), x.dtype)
        self.scale = 1.0 if reduction != "mean" else 1 / x.size if x.size else math.nan
        self.forward_kernel(loss, x, t, self.scale)
        self.saved = x, t
        return loss

    def backward(self, dy):
        if self.needs(1):  # rare: by way of the formulas
            return super().backward(dy)
        dx = empty_like(self.saved[0])
        self.backward_kernel(dx, contiguous(dy), *self.saved, self.scale)
        return dx

    def gradient(self, dy):
        x, t = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        slopes = (self.slope, self.target_slope)
        return [dy * self.scale * slope(ops, x, t) if self.needs(i) else None for i, slope in enumerate(slopes)]


def pointwise(name, value, slope, target_slope):
    """A loss from three formulas of (m, x, t): l, dl/dx and dl/dt. m is numpy in kernels, `ops` in gradients.

    Makes the kernels name_forward(loss, x, t, scale) and name_backward(dx, dy, x, t, scale); `loss` and `dy` have one
    element, or one for each of x.
    """

    def forward(loss, x, t, scale):
        losses = value(array_module(x), x, t)
        loss[...] = scale * (losses if loss.size == x.size else losses.sum(dtype=float64))

    def backward(dx, dy, x, t, scale):
        dx[...] = scale * dy * slope(array_module(x), x, t)

    forward.__name__, backward.__name__ = f"{name}_forward", f"{name}_backward"
    members = {"forward_kernel": kernel()(forward), "backward_kernel": kernel()(backward)}
    members |= {"slope": staticmethod(slope), "target_slope": staticmethod(target_slope)}
    return type(name.title().replace("_", ""), (Pointwise,), members)


# Losses of classes ---------------------------------------------------------------------------------------------------


def class_dim(shape):
    """Which dimension of (C,) or (N, C, d1, ...) holds the classes."""
    return 1 if len(shape) > 1 else 0


def as_rows(x):
    """An array (C,) or (N, C, d1, ...) as (rows, C)."""
    if x.ndim == 2:
        return contiguous(x)
    last = array_module(x).moveaxis(x, class_dim(x.shape), -1)
    return contiguous(last).reshape(math.prod(last.shape[:-1]), last.shape[-1])


def from_rows(rows, shape):
    """(rows, C) as an array of `shape`, (C,) or (N, C, d1, ...): a view."""
    if len(shape) == 2:
        return rows
    dim = class_dim(shape)
    last = (*shape[:dim], *shape[dim + 1 :], shape[dim])
    return array_module(rows).moveaxis(rows.reshape(last), -1, dim)


def check_classes(op, input, target, weight):
    """Raise unless input (N, C, d1, ...), target (N, d1, ...) and weight (C,) or None fit; (C,) and () without a batch.

    Returns the target in int64. That its values name classes is checked by the kernels, before they compute anything.
    """
    check_floating(op, input)
    check_tensor(op, target, "target")
    if target.array.dtype is not int64:
        target = _to_int64(op, target)
    shape, found = input.array.shape, target.array.shape
    if not shape or found != (shape[:1] + shape[2:] if len(shape) > 1 else ()):
        _refuse_shapes(op, shape, found)
    if weight is not None:
        _check_weight(op, input, weight)
    return target


def _to_int64(op, target):
    if target.dtype is not uint8:
        raise RuntimeError(f"[{op}] class indices must be int64 or uint8, found a target of {target.dtype}")
    return target.to(int64)


def _refuse_shapes(op, shape, target):
    found = f"[{op}] found input {shape} and target {target}, "
    if len(shape) > 1 and target and target[0] != shape[0]:
        raise ValueError(f"{found}expected one batch size")
    raise RuntimeError(f"{found}expected (N, C, d1, ...) and (N, d1, ...), or (C,) and ()")


def _check_weight(op, input, weight):
    check_tensor(op, weight, "weight")
    classes = input.shape[class_dim(input.shape)]
    if weight.shape != (classes,) or weight.dtype is not input.dtype:
        raise RuntimeError(
            f"[{op}] weight has shape {weight.shape} and dtype {weight.dtype}, expected ({classes},) and {input.dtype}"
        )
    if weight.requires_grad:
        raise RuntimeError(f"[{op}] is not differentiable in weight, found one that requires a gradient: detach() it")
