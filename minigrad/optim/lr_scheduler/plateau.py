"""plateau: ReduceLROnPlateau, which lowers the step size when a loss no longer falls."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from minigrad.optim.lr_scheduler.scheduler import LRScheduler, per_group
from minigrad.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """lr falls by `factor` when a measured value has not improved for more than `patience` epochs.

    Args:
        mode: "min" if smaller is better, "max" if larger is.
        factor: what lr is multiplied by, less than 1.
        patience: how many epochs without improvement are let pass.
        threshold: how much better is an improvement: a part of the best value ("rel") or a difference ("abs").
        threshold_mode: "rel" or "abs".
        cooldown: epochs after a reduction in which none are counted.
        min_lr: lr never falls below, one for all groups or a list.
        eps: a smaller change is not made.
    Errors: ValueError for an option out of range.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> [scheduler.step(loss) or scheduler.get_last_lr()[0] for loss in (3.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"[ReduceLROnPlateau] found {type(optimizer).__name__}, an Optimizer was expected")
        if not factor < 1:
            raise ValueError(f"[ReduceLROnPlateau] factor is {factor}, less than 1 was expected")
        for name, value, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ValueError(f"[ReduceLROnPlateau] {name} is {value!r}, one of {known} was expected")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = inf if mode == "min" else -inf
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = self._current()

    def step(self, metrics: float) -> None:
        """Go on to the next epoch; `metrics` is the value measured in this one (a number or a one-element Tensor)."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._current()

    def _is_better(self, value):
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold

    def _reduce(self):
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, least)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
