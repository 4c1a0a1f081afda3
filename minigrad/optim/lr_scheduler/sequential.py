"""sequential: SequentialLR, schedulers one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from minigrad.optim.lr_scheduler.scheduler import LRScheduler
from minigrad.optim.optimizer import Optimizer


class SequentialLR(LRScheduler):
    """Runs the first scheduler until the first milestone, then the second from its epoch 0 on, and so forth.

    Args:
        schedulers: of one optimizer, none of them a ReduceLROnPlateau.
        milestones: epochs at which the next takes over, one less than schedulers.
    Errors: ValueError when the numbers do not fit or a scheduler belongs to another optimizer; TypeError for a
        scheduler whose `step` needs a value.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=8.0)
    >>> warm_up = mg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> fall = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = mg.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, fall], milestones=[2])
    >>> [scheduler.step() or scheduler.get_last_lr()[0] for _ in range(4)]
    [6.0, 8.0, 4.0, 2.0]
    """

    _unsaved = ("optimizer", "schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        _check(optimizer, schedulers, milestones)
        self.optimizer, self.schedulers, self.milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        self._running().restart()
        self._last_lr = self._current()

    def _running(self):
        return self.schedulers[bisect_right(self.milestones, self.last_epoch)]

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        if self.last_epoch in self.milestones:
            self._running().restart()
        else:
            self._running().step()
        self._last_lr = self._current()

    def restart(self) -> None:
        """Go back to epoch 0 and the first scheduler."""
        self.last_epoch = 0
        self._running().restart()
        self._last_lr = self._current()

    def state_dict(self) -> dict:
        """All that this scheduler and those it runs remember."""
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "schedulers"})
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)


def _check(optimizer, schedulers, milestones):
    if len(schedulers) != len(milestones) + 1:
        found = f"{len(schedulers)} schedulers and {len(milestones)} milestones"
        raise ValueError(f"[SequentialLR] found {found}, one milestone less than schedulers was expected")
    for i, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, LRScheduler) or not hasattr(scheduler, "base_lrs"):
            name = type(scheduler).__name__
            raise TypeError(f"[SequentialLR] scheduler {i} is {name}, one that steps by the epoch alone was expected")
        if scheduler.optimizer is not optimizer:
            raise ValueError(f"[SequentialLR] scheduler {i} belongs to another optimizer, the same was expected")
