"""one_cycle: OneCycleLR, up and down once, in two or three phases."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi

from minigrad.optim.lr_scheduler.scheduler import LRScheduler, per_group
from minigrad.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """One cycle: lr rises from max_lr / div_factor to max_lr and falls to a tiny one; momentum does the opposite.

    Call `step` after every batch, not every epoch.

    Args:
        max_lr: the highest step size, one for all groups or a list.
        total_steps: length of the cycle, or epochs and steps_per_epoch, whose product it is.
        pct_start: part of the cycle in which lr rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum (beta1 for Adam) between max_momentum and base_momentum.
        div_factor: initial lr = max_lr / div_factor.
        final_div_factor: last lr = initial lr / final_div_factor.
        three_phase: fall back to the initial lr as fast as it rose, then on to the last.
    Errors: ValueError for a missing or not positive length, an option out of range, an optimizer without momentum, and
        for a step beyond the end.
    Source: Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = mg.optim.lr_scheduler.OneCycleLR(
    ...     optimizer, max_lr=10.0, total_steps=5, pct_start=0.4, div_factor=10
    ... )
    >>> rates = [scheduler.get_last_lr()[0] for _ in range(4) if not scheduler.step()]
    >>> [round(lr, 3) for lr in rates]
    [10.0, 7.5, 2.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if not 0 <= pct_start <= 1:
            raise ValueError(f"[OneCycleLR] pct_start is {pct_start}, a part between 0 and 1 was expected")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[OneCycleLR] anneal_strategy is {anneal_strategy!r}, 'cos' or 'linear' was expected")
        self.total_steps = cycle_length(total_steps, epochs, steps_per_epoch)
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.phases = cycle_phases(self.total_steps, pct_start, three_phase)
        self._prepare_groups(optimizer, max_lr, div_factor, final_div_factor, last_epoch)
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _prepare_groups(self, optimizer, max_lr, div_factor, final_div_factor, last_epoch):
        for group, top in zip(
            optimizer.param_groups, per_group("OneCycleLR", "max_lr", max_lr, optimizer), strict=True
        ):
            if last_epoch == -1:
                first = top / div_factor
                group.update(initial_lr=first, max_lr=top, min_lr=first / final_div_factor)

    def _prepare_momentum(self, optimizer, base_momentum, max_momentum, last_epoch):
        if not {"momentum", "betas"} & set(optimizer.defaults):
            name = type(optimizer).__name__
            raise ValueError(f"[OneCycleLR] {name} has no momentum to cycle: pass cycle_momentum=False")
        lows = per_group("OneCycleLR", "base_momentum", base_momentum, optimizer)
        highs = per_group("OneCycleLR", "max_momentum", max_momentum, optimizer)
        for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
            if last_epoch == -1:
                group.update(base_momentum=low, max_momentum=high)

    def get_lr(self):
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"[OneCycleLR] step {self.last_epoch} is beyond the end, total_steps is {self.total_steps}"
            )
        phase, part = self._place()
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            _set_momentum(group, self._between(group[phase[3]], group[phase[4]], part))
        return [self._between(group[phase[1]], group[phase[2]], part) for group in self.optimizer.param_groups]

    def _place(self):
        """The phase that this step is in, and how far it is through, 0 to 1."""
        start = 0.0
        for phase in self.phases:
            if self.last_epoch <= phase[0] or phase is self.phases[-1]:
                return phase, (self.last_epoch - start) / (phase[0] - start)
            start = phase[0]

    def _between(self, start, end, part):
        bend = (1 - cos(pi * part)) / 2 if self.anneal_strategy == "cos" else part
        return start + (end - start) * bend


def cycle_length(total_steps, epochs, steps_per_epoch):
    """The number of steps, given as such or as epochs times steps."""
    lengths = {"total_steps": total_steps}
    if total_steps is None:
        lengths = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    length = 1
    for name, value in lengths.items():
        if not isinstance(value, int) or value <= 0:
            expected = "a positive integer (total_steps, or epochs and steps_per_epoch)"
            raise ValueError(f"[OneCycleLR] {name} is {value!r}, {expected} was expected")
        length *= value
    return length


def cycle_phases(total_steps, pct_start, three_phase):
    """The phases as (last step, lr from, lr to, momentum from, momentum to); the names are entries of a group."""
    rise = (pct_start * total_steps - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three_phase:
        return [rise, (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    fall = (2 * pct_start * total_steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [rise, fall, (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]


def _set_momentum(group, value):
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
