"""sgd: stochastic gradient descent, with momentum."""

from collections.abc import Iterable
from math import inf

from minigrad.ops.optim_step import sgd_step
from minigrad.optim.optimizer import Optimizer, rate, remembered


class SGD(Optimizer):
    """Stochastic gradient descent.

    Formula: d = g + weight_decay p; with momentum v = momentum v + (1 - dampening) d (at first v = d) and d = v, or
        d = d + momentum v with nesterov; p = p - lr d.
    Args:
        params: tensors, or dictionaries with options of their own (see Optimizer).
        lr: step size.
        momentum: how much of the last step is kept.
        dampening: how little of the gradient goes into the momentum.
        weight_decay: factor of an L2 penalty.
        nesterov: look ahead along the momentum; needs momentum and no dampening.
        maximize: go up instead of down.
    Errors: ValueError for an option out of range.
    Source: Sutskever et al., On the Importance of Initialization and Momentum in Deep Learning, 2013.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = mg.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    >>> w  # 1 - 0.1 - 0.19
    tensor([0.7100], requires_grad=True)
    """

    bounds = {**Optimizer.bounds, "momentum": (0, inf)}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "maximize": maximize})

    def check_options(self, group):
        super().check_options(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            found = f"momentum {group['momentum']} and dampening {group['dampening']}"
            raise ValueError(f"[SGD] nesterov needs a momentum and no dampening, found {found}")

    def phase(self, state):
        return state.get("momentum_buffer") is None

    def update(self, params, grads, states, group):
        first = self.phase(states[0])
        sgd_step(
            params, remembered(states, "momentum_buffer", params) if group["momentum"] else None, grads,
            rate(group), group["momentum"], group["dampening"], group["weight_decay"],
            group["nesterov"], group["maximize"], first,
        )  # fmt: skip
