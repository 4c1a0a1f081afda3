"""mse_loss: l = (x - t)^2        dx = 2 dy (x - t), dt = -dx

The reduction is part of the op, see `pointwise` in loss.py. Kernels: csrc/cpu/mse_loss.cpp.
"""

import warnings

from minigrad.ops.elementwise import broadcast_sizes, common
from minigrad.ops.loss import check_floating, check_reduction, pointwise, reduced

MseLoss = pointwise(
    "mse_loss",
    lambda m, x, t: m.square(x - t),
    lambda m, x, t: 2 * (x - t),
    lambda m, x, t: 2 * (t - x),
)


def mse_loss(input, target, *, reduction="mean", weight=None):
    """l = (x - t)^2        dx = 2 dy (x - t), dt = -dx

    Args:
        input, target (Tensor): the same shape; others are broadcast, with a warning.
        reduction: "mean", "sum" or "none".
        weight (Tensor, optional): a factor for each element; the mean divides by the sum of the factors.

    Errors: ValueError for an unknown reduction or a weight of another shape, RuntimeError for shapes that do not
    broadcast and dtypes that are not floating.

    >>> import minigrad as mg
    >>> mg.nn.functional.mse_loss(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_reduction("mse_loss", reduction)
    check_floating("mse_loss", input)
    check_floating("mse_loss", target, "target")
    if input.shape != target.shape:
        input, target = _spread(input, target)
    input, target = common("mse_loss", input, target)
    if weight is None:
        return MseLoss.apply(input, target, reduction)
    if weight.shape != input.shape:
        raise ValueError(f"[mse_loss] weight has shape {weight.shape}, expected that of the input, {input.shape}")
    losses = MseLoss.apply(input, target, "none") * weight
    return losses.sum() / weight.sum() if reduction == "mean" else reduced(losses, reduction)


def _spread(input, target):
    """Both in the shape that they broadcast to, with a warning."""
    shape = broadcast_sizes("mse_loss", input.shape, target.shape)
    warnings.warn(
        f"[mse_loss] target has shape {target.shape}, the input {input.shape}: they are broadcast, which is seldom "
        "wanted. Give both the same shape",
        stacklevel=3,
    )
    return input.expand(shape), target.expand(shape)


__all__ = ["mse_loss"]
