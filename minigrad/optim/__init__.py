"""optim: optimizers, sorted in order of increasing complexity, and `lr_scheduler`, which changes their step sizes.

Read `optimizer.py` first, then `sgd.py`; the arithmetic is in `minigrad/ops/optim_step.py`.
"""

from minigrad.optim import lr_scheduler
from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.sgd import SGD

__all__ = ["Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "lr_scheduler"]
