"""lr_scheduler: how step sizes change in the course of training. Call `scheduler.step()` after the optimizer's.

Reading order: `scheduler.py` (the base class), `by_epoch.py` (rules in a line or two), `one_cycle.py` (a rule in
phases, for the momentum too), `plateau.py` (looks at a loss), `sequential.py` (runs others one after the other).
"""

from minigrad.optim.lr_scheduler.by_epoch import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from minigrad.optim.lr_scheduler.one_cycle import OneCycleLR
from minigrad.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minigrad.optim.lr_scheduler.scheduler import LRScheduler
from minigrad.optim.lr_scheduler.sequential import SequentialLR

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
