"""adagrad: steps that shrink where gradients have been large."""

from collections.abc import Iterable
from math import inf

from minigrad.ops.optim_step import adagrad_step
from minigrad.optim.optimizer import Optimizer, count_step, remembered
from minigrad.recording import live


class Adagrad(Optimizer):
    """Adaptive gradient: every element has a step size of its own.

    Formula: s = s + g²; p = p - lr / (1 + (t - 1) lr_decay) · g / (sqrt(s) + eps), t counting the steps.
    Args:
        params: tensors, or dictionaries with options of their own (see Optimizer).
        lr: step size.
        lr_decay: how fast the step size falls.
        weight_decay: factor of an L2 penalty.
        initial_accumulator_value: s at the start.
        eps: added to the denominator.
        maximize: go up instead of down.
    Errors: ValueError for an option out of range.
    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = mg.optim.Adagrad([w], lr=0.5)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    bounds = {**Optimizer.bounds, "lr_decay": (0, inf), "initial_accumulator_value": (0, inf), "eps": (0, inf)}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        start = {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {**options, **start, "maximize": maximize})

    def phase(self, state):
        return state.get("step", 0)

    def update(self, params, grads, states, group):
        totals = remembered(states, "sum", params, group["initial_accumulator_value"])
        count_step(states)
        lr = live(lambda: group["lr"] / (1 + (states[0]["step"] - 1) * group["lr_decay"]))
        adagrad_step(params, totals, grads, lr, group["weight_decay"], group["eps"], group["maximize"])
