"""cross_entropy: l = ln sum_j e^x_j - x_t, t being the target's class        dx = dy (softmax(x) - onehot(t))

With weights w and label smoothing s a row holds q_c of the loss of class c: s / C w_c, and for c = t (1 - s) w_t more:

    l = sum_c q_c (lse - x_c)        dx = dy (e^(x - lse) sum_c q_c - q)        lse = ln sum_j e^x_j

Kernels: csrc/cpu/cross_entropy.cpp, with the reduction inside, so that a training step runs one kernel forward and one
back. lse is kept in float64 whatever x is: e^(x - lse) stays exact. Targets that are probabilities go through
log_softmax.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, empty_like, largest
from minigrad.dtypes import float64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.elementwise import check_tensor
from minigrad.ops.loss import (
    as_rows,
    check_classes,
    check_floating,
    check_reduction,
    class_dim,
    from_rows,
    reduced,
)
from minigrad.ops.nll_loss import own_weights, reduce_rows
from minigrad.ops.softmax import log_softmax
from minigrad.ops.where import where
from minigrad.tensor import wrap


def held(target, classes, weight, ignore_index, smoothing):
    """q (rows, classes), and the weight of each row in the mean. A row that is ignored holds nothing."""
    xp = array_module(target)
    own, weights = own_weights("cross_entropy", target, classes, weight, ignore_index)
    every = xp.ones(classes) if weight is None else weight.astype(float64)
    q = (target != ignore_index)[:, None] * every * (smoothing / max(1, classes))
    q[xp.arange(len(target)), own] += (1 - smoothing) * weights
    return q, weights


@kernel(outs=3)
def cross_entropy_forward(loss, lse, count, x, target, weight, ignore_index, smoothing):
    """x (rows, classes); target, lse, loss (rows,), or loss one element: their sum, or mean if `count` is one too"""
    xp = array_module(x)
    q, weights = held(target, x.shape[1], weight, ignore_index, smoothing)
    peak = largest(x, -1)[..., 0].astype(float64)
    lse[...] = xp.log(xp.exp(x - peak[:, None]).sum(-1)) + peak
    reduce_rows(loss, count, xp.where(q, q * (lse[:, None] - x), 0).sum(-1), weights)


@kernel()
def cross_entropy_backward(dx, dy, count, x, lse, target, weight, ignore_index, smoothing):
    xp = array_module(x)
    q, _ = held(target, x.shape[1], weight, ignore_index, smoothing)
    scale = dy.reshape(-1, 1) if count is None else dy.reshape(-1, 1) / count
    grad = scale * (xp.exp(x - lse[:, None]) * q.sum(-1, keepdims=True) - q)
    dx[...] = xp.where((target != ignore_index)[:, None], grad, 0)


class CrossEntropy(Op):
    def forward(self, x, target, weight, ignore_index, smoothing, reduction):
        rows, target = as_rows(x), contiguous(target)
        loss = empty(target.shape if reduction == "none" else (), x.dtype)
        count = empty((), float64) if reduction == "mean" else None
        lse, target = empty((target.size,), float64), target.reshape(-1)
        cross_entropy_forward(loss, lse, count, rows, target, weight, ignore_index, smoothing)
        self.shape, self.options = x.shape, (ignore_index, smoothing)
        self.saved = count, rows, lse, target, weight
        return loss

    def backward(self, dy):
        dx = empty_like(self.saved[1])
        cross_entropy_backward(dx, contiguous(dy), *self.saved, *self.options)
        return from_rows(dx, self.shape)

    @staticmethod
    def composed(x, target, weight, ignore_index, smoothing, reduction):
        dim, weight = class_dim(x.shape), None if weight is None else weight.array
        rows, weights = held(target.array.reshape(-1), x.shape[dim], weight, ignore_index, smoothing)
        q = wrap(from_rows(rows, x.shape)).to(x.dtype)
        losses = where(q != 0, -q * log_softmax(x, dim), 0).sum(dim)  # 0, not 0 times -inf, where nothing is held
        return losses.sum() / float(weights.sum()) if reduction == "mean" else reduced(losses, reduction)


def _of_probabilities(input, target, weight, smoothing, reduction):
    """l = -sum_c w_c q_c log_softmax(x)_c, q = (1 - s) target + s / C; differentiable in target and weight too."""
    dim = class_dim(input.shape)
    classes = input.shape[dim]
    q = target * (1 - smoothing) + smoothing / max(1, classes) if smoothing else target
    if weight is not None:
        q = q * weight.reshape(classes, *[1] * (input.ndim - dim - 1))
    return reduced(-(q * log_softmax(input, dim)).sum(dim), reduction)


def _check_probabilities(input, weight, ignore_index):
    classes = input.shape[class_dim(input.shape)] if input.ndim else 1
    if not input.ndim or (weight is not None and weight.shape != (classes,)):
        raise RuntimeError(
            f"[cross_entropy] found input {input.shape} and weight {getattr(weight, 'shape', None)}, "
            "expected (N, C, d1, ...) or (C,), and a weight of (C,)"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"[cross_entropy] probabilities have no ignore_index, found {ignore_index}")


def cross_entropy(input, target, weight=None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """l = ln sum_j e^x_j - x_t, t being the target's class        dx = dy (softmax(x) - onehot(t))

    Args:
        input (Tensor): scores of the classes, any real numbers.
        target (Tensor): the index of a class for each, int64; or, floating and in the shape of `input`, probabilities
            of the classes.
        weight (Tensor, optional): (C,), a factor for each class. With indices the mean divides by the factors' sum.
        ignore_index (int): a target that does not count.
        reduction: "mean", "sum" or "none".
        label_smoothing (float): how much of the target is spread evenly over all classes, 0 to 1.

    Shape: input (N, C), (N, C, d1, ...) or (C,); target the same, without C if it holds indices; output the same
    without C for "none", else ().
    Errors: IndexError for a class out of range (none on a GPU, where to look would be to wait: the loss is NaN),
    ValueError for unequal batches or an unknown reduction, RuntimeError for other shapes and dtypes and for a smoothing
    outside [0, 1].
    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016 (label smoothing).

    >>> import minigrad as mg
    >>> scores = mg.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> mg.nn.functional.cross_entropy(scores, mg.tensor([0, 1]))
    tensor(0.4100)
    >>> mg.nn.functional.cross_entropy(scores, mg.tensor([[1.0, 0.0], [0.5, 0.5]]), reduction="none")
    tensor([0.1269, 0.6931])
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"[cross_entropy] label_smoothing must lie in [0, 1], found {label_smoothing}")
    check_tensor("cross_entropy", target, "target")
    check_floating("cross_entropy", input)
    if target.array.shape == input.array.shape:
        if not is_floating(target.dtype):
            raise RuntimeError(
                f"[cross_entropy] a target in the shape of the input holds probabilities, found {target.dtype}"
            )
        _check_probabilities(input, weight, ignore_index)
        return _of_probabilities(input, target, weight, label_smoothing, reduction)
    target = check_classes("cross_entropy", input, target, weight)
    return CrossEntropy.apply(input, target, weight, ignore_index, float(label_smoothing), reduction)


__all__ = ["cross_entropy"]
