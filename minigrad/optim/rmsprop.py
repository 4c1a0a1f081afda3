"""rmsprop: steps divided by the recent size of the gradient."""

from collections.abc import Iterable
from math import inf

from minigrad.ops.optim_step import rmsprop_step
from minigrad.optim.optimizer import Optimizer, count_step, rate, remembered


class RMSprop(Optimizer):
    """Root mean square propagation.

    Formula: s = alpha s + (1 - alpha) g²; p = p - lr g / (sqrt(s) + eps). centered: s less the square of the mean of g.
        With momentum: v = momentum v + g / (sqrt(s) + eps); p = p - lr v.
    Args:
        params: tensors, or dictionaries with options of their own (see Optimizer).
        lr: step size.
        alpha: how slowly the mean of the squares follows.
        eps: added to the denominator.
        weight_decay: factor of an L2 penalty.
        momentum: how much of the last step is kept.
        centered: divide by the deviation instead.
        maximize: go up instead of down.
    Errors: ValueError for an option out of range.
    Source: Tieleman and Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012; centered: Graves, Generating
        Sequences With Recurrent Neural Networks, 2013.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = mg.optim.RMSprop([w], lr=0.05)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()
    >>> w  # the first step is lr / sqrt(1 - alpha)
    tensor([0.5000], requires_grad=True)
    """

    bounds = {**Optimizer.bounds, "alpha": (0, inf), "eps": (0, inf), "momentum": (0, inf)}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

    def update(self, params, grads, states, group):
        count_step(states)
        rmsprop_step(
            params, remembered(states, "square_avg", params),
            remembered(states, "grad_avg", params) if group["centered"] else None,
            remembered(states, "momentum_buffer", params) if group["momentum"] else None, grads,
            rate(group), group["alpha"], group["eps"], group["weight_decay"], group["momentum"], group["maximize"],
        )  # fmt: skip
