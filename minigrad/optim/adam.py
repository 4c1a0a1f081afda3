"""adam: Adam and AdamW, momentum and a step size for every element in one."""

from collections.abc import Iterable
from math import inf

from minigrad.ops.optim_step import adam_step
from minigrad.optim.optimizer import Optimizer, count_step, rate, remembered


class Adam(Optimizer):
    """Adaptive moment estimation.

    Formula: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²; after t steps
        p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). amsgrad: the largest v so far instead of v.
    Args:
        params: tensors, or dictionaries with options of their own (see Optimizer).
        lr: step size.
        betas: how slowly the means of the gradient and of its square follow.
        eps: added to the denominator.
        weight_decay: factor of an L2 penalty.
        amsgrad: never let a step size grow again.
        maximize: go up instead of down.
        decoupled_weight_decay: shrink p itself by the factor 1 - lr weight_decay, as AdamW does.
        bias_correction: False drops both divisions by 1 - beta^t; the plain form that is printed in some texts (our own
            switch, PyTorch has none).
    Errors: ValueError for an option out of range.
    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014; amsgrad: Reddi, Kale and Kumar, On the
        Convergence of Adam and Beyond, 2018.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = mg.optim.Adam([w], lr=0.5)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    bounds = {**Optimizer.bounds, "betas": (0, 1), "eps": (0, inf)}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        bias_correction: bool = True,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        switches = {"decoupled_weight_decay": decoupled_weight_decay, "bias_correction": bias_correction}
        super().__init__(params, {**options, "maximize": maximize, **switches})

    def phase(self, state):
        return state.get("step", 0)

    def update(self, params, grads, states, group):
        adam_step(
            params, remembered(states, "exp_avg", params), remembered(states, "exp_avg_sq", params),
            remembered(states, "max_exp_avg_sq", params) if group["amsgrad"] else None, grads,
            count_step(states), rate(group), *group["betas"], group["eps"], group["weight_decay"],
            group["decoupled_weight_decay"], group["maximize"], group["bias_correction"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay is not part of the gradient.

    Formula: p = p (1 - lr weight_decay), then the step of Adam.
    Args: as of Adam; weight_decay is 0.01 unless given.
    Errors: ValueError for an option out of range.
    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = mg.optim.AdamW([w], lr=0.5, weight_decay=0.2)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()
    >>> w  # 1 - 0.5 · 0.2 - 0.5
    tensor([0.4000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        bias_correction: bool = True,
    ):
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            maximize=maximize, decoupled_weight_decay=True, bias_correction=bias_correction,
        )  # fmt: skip
