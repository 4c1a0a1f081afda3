"""binary_cross_entropy: l = -(t ln x + (1 - t) ln(1 - x))        dx = dy (x - t) / (x (1 - x))
binary_cross_entropy_with_logits: l = max(x, 0) - x t + ln(1 + e^-|x|)        dx = dy (sigmoid(x) - t)

The second is the first of sigmoid(x) and never overflows. In the first, logarithms are cut off at -100 and x (1 - x) at
1e-12, so that a sure mistake costs much but not infinitely much. Kernels: csrc/cpu/binary_cross_entropy.cpp.
"""

from minigrad.ops.creation import full_like
from minigrad.ops.elementwise import common
from minigrad.ops.loss import check_floating, check_reduction, pointwise, reduced
from minigrad.ops.unary import _sigmoid

_LOWEST_LOG, _LEAST_VARIANCE = -100.0, 1e-12

BinaryCrossEntropy = pointwise(
    "binary_cross_entropy",
    lambda m, x, t: -(t * m.maximum(m.log(x), _LOWEST_LOG) + (1 - t) * m.maximum(m.log1p(-x), _LOWEST_LOG)),
    lambda m, x, t: (x - t) / m.maximum(x * (1 - x), _LEAST_VARIANCE),
    lambda m, x, t: m.log(1 - x) - m.log(x),
)

BinaryCrossEntropyWithLogits = pointwise(
    "binary_cross_entropy_with_logits",
    lambda m, x, t: m.maximum(x, 0) - x * t + m.log1p(m.exp(-m.abs(x))),
    lambda m, x, t: _sigmoid(m, x) - t,
    lambda m, x, t: -x,
)


def _check(op, input, target, reduction):
    check_reduction(op, reduction)
    check_floating(op, input)
    check_floating(op, target, "target")
    if input.shape != target.shape:
        raise ValueError(f"[{op}] target has shape {target.shape}, expected that of the input, {input.shape}")


def binary_cross_entropy(input, target, weight=None, *, reduction="mean"):
    """l = -w (t ln x + (1 - t) ln(1 - x)), logarithms not below -100        dx = dy w (x - t) / (x (1 - x))

    Args:
        input (Tensor): probabilities. target (Tensor): what they should be, in [0, 1], the same shape.
        weight (Tensor, optional): a factor for each element, broadcast.
        reduction: "mean", "sum" or "none".

    Errors: ValueError if the shapes differ or for an unknown reduction, RuntimeError for a value outside [0, 1] or
    dtypes that differ.

    >>> import minigrad as mg
    >>> mg.nn.functional.binary_cross_entropy(mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.0000])
    """
    _check("binary_cross_entropy", input, target, reduction)
    if input.dtype is not target.dtype:
        raise RuntimeError(
            f"[binary_cross_entropy] target has dtype {target.dtype}, expected that of the input, {input.dtype}"
        )
    for name, x in (("input", input.array), ("target", target.array)):
        if x.size and not (x.min() >= 0 and x.max() <= 1):
            raise RuntimeError(f"[binary_cross_entropy] {name} must lie in [0, 1], found {x.min()} to {x.max()}")
    return _weighted(BinaryCrossEntropy, input, target, weight, reduction)


def _weighted(cls, input, target, weight, reduction):
    if weight is None:
        return cls.apply(input, target, reduction)
    return reduced(cls.apply(input, target, "none") * weight.expand(input.shape), reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, *, reduction="mean", pos_weight=None):
    """l = w (p t ln(1 + e^-x) + (1 - t) ln(1 + e^x))        dx = dy (sigmoid(x) - t) for w = p = 1

    Args:
        input (Tensor): any real numbers. target (Tensor): what their sigmoids should be, in the same shape.
        weight (Tensor, optional): w, a factor for each element, broadcast.
        reduction: "mean", "sum" or "none".
        pos_weight (Tensor, optional): p, a factor for the part of positive targets, broadcast.

    Errors: ValueError if the shapes differ or for an unknown reduction, RuntimeError if they are not floating.

    >>> import minigrad as mg
    >>> mg.nn.functional.binary_cross_entropy_with_logits(
    ...     mg.tensor([0.0, 1000.0]), mg.tensor([1.0, 1.0]), reduction="none"
    ... )
    tensor([0.6931, 0.0000])
    """
    _check("binary_cross_entropy_with_logits", input, target, reduction)
    input, target = common("binary_cross_entropy_with_logits", input, target)
    if pos_weight is None:
        return _weighted(BinaryCrossEntropyWithLogits, input, target, weight, reduction)
    positive, negative = (BinaryCrossEntropyWithLogits.apply(input, full_like(input, t), "none") for t in (1, 0))
    losses = pos_weight * target * positive + (1 - target) * negative
    return reduced(losses if weight is None else losses * weight.expand(input.shape), reduction)


__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]
