"""activation: the nonlinearities as modules. Formulas, gradients and sources stand with the ops of the same names."""

from minigrad.nn import functional as F
from minigrad.nn.module import Module


class ReLU(Module):
    """y = max(x, 0).

    Args: inplace: write the result into the input.

    >>> import minigrad as mg
    >>> mg.nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace

    def forward(self, x):
        return x.relu_() if self.inplace else F.relu(x)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    >>> import minigrad as mg
    >>> mg.nn.Sigmoid()(mg.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, x):
        return F.sigmoid(x)


class SiLU(Module):
    """y = x / (1 + exp(-x)).

    Args: inplace: write the result into the input.

    >>> import minigrad as mg
    >>> mg.nn.SiLU()(mg.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace

    def forward(self, x):
        return F.silu(x, self.inplace)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """y = tanh(x).

    >>> import minigrad as mg
    >>> mg.nn.Tanh()(mg.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x):
        return F.tanh(x)


class GELU(Module):
    """y = x Φ(x), Φ the distribution function of N(0, 1).

    Args: approximate: "none" for the exact Φ, "tanh" for the cheaper form.

    >>> import minigrad as mg
    >>> mg.nn.GELU()(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, x):
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """y_i = exp(x_i) / sum_j exp(x_j), the sum along `dim`.

    Args: dim: the dimension whose values become probabilities.

    >>> import minigrad as mg
    >>> mg.nn.Softmax(dim=0)(mg.tensor([1.0, 1.0]))
    tensor([0.5000, 0.5000])
    """

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y_i = x_i - log sum_j exp(x_j), the sum along `dim`.

    Args: dim: the dimension whose values become logarithms of probabilities.

    >>> import minigrad as mg
    >>> mg.nn.LogSoftmax(dim=0)(mg.tensor([1.0, 1.0]))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return F.log_softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"
