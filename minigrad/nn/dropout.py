"""dropout: Dropout."""

from minigrad.nn import functional as F
from minigrad.nn.module import Module


class Dropout(Module):
    """In training sets each element to 0 with probability p and multiplies the rest by 1/(1-p); else y = x.

    Args: p: probability of 0. inplace: write the result into the input.
    Errors: ValueError when p is not in [0, 1].
    Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.

    >>> import minigrad as mg
    >>> mg.nn.Dropout(0.5).eval()(mg.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"[Dropout] p is {p}, a probability between 0 and 1 was expected")
        self.p, self.inplace = p, inplace

    def forward(self, x):
        return F.dropout(x, self.p, self.training, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"
