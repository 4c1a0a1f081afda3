"""scheduler: the base class.

A scheduler is one method: `get_lr` gives the step size of every group at epoch `last_epoch`, most often from that of
the epoch before, so that several schedulers, and changes by hand, multiply.
"""

from __future__ import annotations

from minigrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: counts epochs from 0 and writes what `get_lr` gives into the groups.

    Args:
        optimizer: whose groups are changed.
        last_epoch: the epoch to go on after; -1 starts anew and notes each group's lr as its `initial_lr`.
    Errors: TypeError for something that is no Optimizer; KeyError for a group without `initial_lr` when going on.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=8.0)
    >>> class Halve(mg.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base / 2**self.last_epoch for base in self.base_lrs]
    >>> scheduler = Halve(optimizer)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [4.0]
    """

    _unsaved = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"[{type(self).__name__}] found {type(optimizer).__name__}, an Optimizer was expected")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"[{type(self).__name__}] group {i} has no initial_lr, needed to go on from a last_epoch"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._begin()

    def _begin(self):
        self.step()

    def get_lr(self) -> list[float]:
        """The step size of each group at epoch `last_epoch`."""
        raise NotImplementedError(f"[{type(self).__name__}] has no get_lr, a method `get_lr` was expected")

    def get_last_lr(self) -> list[float]:
        """The step size of each group as this scheduler last set it."""
        return list(self._last_lr)

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self._current()

    def restart(self) -> None:
        """Go back to epoch 0 and the initial step sizes."""
        for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = lr
        self.last_epoch = -1
        self.step()

    def _current(self):
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict:
        """All that this scheduler remembers, except the optimizer (and functions)."""
        return {name: value for name, value in self.__dict__.items() if name not in self._unsaved}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)


class Relative(LRScheduler):
    """Base class of those whose `get_lr` starts from the step size of the epoch before."""

    def _begin(self):
        if self.last_epoch == -1:
            self.step()
        else:  # going on: the groups hold the step size of this epoch already
            self.last_epoch += 1
            self._last_lr = self._current()


def per_group(caller, name, value, optimizer):
    """`value` for each group of the optimizer: a list stays, anything else is repeated."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"[{caller}] {name} has {len(value)} entries, one for each of the {count} groups was expected")
    return list(value)
