"""nll_loss: l = -w_t x_t, t being the target's class        dx_t = -dy w_t, 0 for all other classes

The mean divides by the sum of the w_t, not by their number. Kernels: csrc/cpu/nll_loss.cpp. cross_entropy.py uses
`own_weights` and `reduce_rows` too.
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, full
from minigrad.backend.checks import check_targets
from minigrad.dtypes import float64
from minigrad.kernel import kernel
from minigrad.ops.loss import check_classes, check_reduction, class_dim
from minigrad.tensor import wrap


def own_weights(op, target, classes, weight, ignore_index):
    """For each row the class of its target (0 if it is ignored) and that class's weight (0 if it is ignored).

    Errors: IndexError for a target that is neither a class nor ignore_index.
    """
    xp = array_module(target)
    check_targets(op, target, classes, ignore_index)
    counted = target != ignore_index
    own = xp.where(counted, target, 0)
    return own, counted * xp.float64(1) if weight is None else xp.where(counted, weight[own], 0).astype(float64)


def reduce_rows(loss, count, losses, weights):
    """Write the losses of the rows, or their sum, or (with an out for the weight of all rows) their mean."""
    if count is not None:
        count[...] = weights.sum()
        loss[...] = losses.sum() / count
    else:
        loss[...] = losses.reshape(loss.shape) if loss.size == losses.size else losses.sum()


@kernel(outs=2)
def nll_loss_forward(loss, count, x, target, weight, ignore_index):
    """x (n, classes, inner), target (n inner,), loss the same or one element; count: one for the mean, else None"""
    xp = array_module(x)
    n, classes, inner = x.shape
    own, weights = own_weights("nll_loss", target, classes, weight, ignore_index)
    found = xp.take_along_axis(x, own.reshape(n, 1, inner), 1).reshape(-1)
    losses = xp.where(target != ignore_index, -weights * found, 0)
    reduce_rows(loss, count, losses, weights)


@kernel()
def nll_loss_backward(dx, dy, count, target, weight, ignore_index):
    xp = array_module(dx)
    n, classes, inner = dx.shape
    own, weights = own_weights("nll_loss", target, classes, weight, ignore_index)
    scaled = dy.reshape(-1) * weights if count is None else dy.reshape(-1) / count * weights
    dx[...] = 0
    slopes = xp.where(target != ignore_index, -scaled, 0).astype(dx.dtype)
    xp.put_along_axis(dx, own.reshape(n, 1, inner), slopes.reshape(n, 1, inner), 1)


def planes(shape):
    """(C,) or (N, C, d1, ...) as (n, classes, inner)."""
    return (shape[0], shape[1], math.prod(shape[2:])) if len(shape) > 1 else (1, shape[0], 1)


class NllLoss(Op):
    def forward(self, x, target, weight, ignore_index, reduction):
        target, form = contiguous(target), planes(x.shape)
        loss = empty(target.shape if reduction == "none" else (), x.dtype)
        count = empty((), float64) if reduction == "mean" else None
        self.shape, self.dtype, self.ignore_index = x.shape, x.dtype, ignore_index
        self.saved = count, target.reshape(-1), weight
        nll_loss_forward(loss, count, contiguous(x).reshape(form), target.reshape(-1), weight, ignore_index)
        return loss

    def backward(self, dy):
        dx = empty(self.shape, self.dtype)
        nll_loss_backward(dx.reshape(planes(self.shape)), contiguous(dy), *self.saved, self.ignore_index)
        return dx

    def gradient(self, dy):
        slopes = wrap(self.backward(full(dy.shape, 1, dy.dtype)))
        return slopes * (dy.unsqueeze(class_dim(self.shape)) if dy.ndim else dy)


def nll_loss(input, target, weight=None, *, ignore_index=-100, reduction="mean"):
    """l = -w_t x_t, x being log-probabilities and t the target's class        dx_t = -dy w_t

    Args:
        input (Tensor): log-probabilities, as `log_softmax` gives them.
        target (int64 Tensor): the index of a class for each of them.
        weight (Tensor, optional): (C,), a factor for each class; the mean divides by the sum of the factors.
        ignore_index (int): a target that does not count.
        reduction: "mean", "sum" or "none".

    Shape: input (N, C), (N, C, d1, ...) or (C,); target the same without C; output as target for "none", else ().
    Errors: IndexError for a class out of range (none on a GPU, where to look would be to wait: the loss is NaN),
    ValueError for unequal batches or an unknown reduction, RuntimeError for other shapes and dtypes.

    >>> import minigrad as mg
    >>> mg.nn.functional.nll_loss(mg.tensor([[-1.0, -3.0], [-2.0, -4.0]]), mg.tensor([1, 0]))
    tensor(2.5000)
    """
    check_reduction("nll_loss", reduction)
    target = check_classes("nll_loss", input, target, weight)
    return NllLoss.apply(input, target, weight, ignore_index, reduction)


__all__ = ["nll_loss"]
