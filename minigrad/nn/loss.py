"""loss: the losses as modules. Formulas, gradients and sources stand with the ops of the same names.

All take `reduction`: "mean", "sum", or "none" for one loss per sample. Options are given by name.
"""

from minigrad.nn import functional as F
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class Loss(Module):
    """What all losses share: how the losses of the samples become one."""

    def __init__(self, reduction: str):
        super().__init__()
        self.reduction = reduction


class MSELoss(Loss):
    """Mean squared error: (x - y)².

    Shape: input and target the same (*); output () or, with reduction "none", (*).

    >>> import minigrad as mg
    >>> mg.nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, *, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class CrossEntropyLoss(Loss):
    """Cross-entropy of the softmax of scores: log sum_j exp(x_j) - x_target.

    Args:
        weight: (C,), a factor for each class.
        ignore_index: a target that does not count.
        label_smoothing: how much of the target is spread evenly over all classes, 0 to 1.
    Shape: input (N, C), (C,) or (N, C, d1, ...); target of class indices without the C, or of probabilities with it.
    Errors: IndexError for a class out of range; the rest as in `functional.cross_entropy`.

    >>> import minigrad as mg
    >>> mg.nn.CrossEntropyLoss()(mg.zeros(1, 2), mg.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood of log-probabilities: -x_target.

    Args: weight: (C,), a factor for each class. ignore_index: a target that does not count.
    Shape: input (N, C), (C,) or (N, C, d1, ...); target of class indices without the C.
    Errors: IndexError for a class out of range; the rest as in `functional.nll_loss`.

    >>> import minigrad as mg
    >>> mg.nn.NLLLoss()(mg.tensor([[-1.0, -3.0]]), mg.tensor([1]))
    tensor(3.)
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(Loss):
    """Binary cross-entropy of probabilities: -(y log x + (1 - y) log(1 - x)).

    Args: weight: a factor for each element, broadcast.
    Shape: input and target the same (*).
    Errors: ValueError when the shapes differ; RuntimeError for an input outside [0, 1].

    >>> import minigrad as mg
    >>> mg.nn.BCELoss()(mg.tensor([0.5]), mg.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of the sigmoid of scores, without overflow.

    Args: weight: a factor for each element. pos_weight: a factor for the positive part. Both are broadcast.
    Shape: input and target the same (*).
    Errors: ValueError when the shapes differ.

    >>> import minigrad as mg
    >>> mg.nn.BCEWithLogitsLoss()(mg.tensor([0.0]), mg.tensor([1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
