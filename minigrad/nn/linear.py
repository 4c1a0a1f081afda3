"""linear: Identity and Linear."""

import math

from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import empty


class Identity(Module):
    """y = x; takes any arguments, so that it can stand in for another layer.

    >>> from minigrad import nn
    >>> nn.Identity(54, unused=True)
    Identity()
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, x):
        return x


class Linear(Module):
    """y = x Wᵀ + b: every output is a weighted sum of all inputs.

    Both W and b start uniform in ±1/sqrt(in_features), as in PyTorch.

    Args:
        in_features, out_features: sizes of the last dimension of input and output.
        bias: whether there is a b.
    Shape: input (..., in_features), output (..., out_features);
        weight (out_features, in_features), bias (out_features).
    Errors: RuntimeError when the last dimension of the input is not in_features.
    Source: He et al., Delving Deep into Rectifiers, 2015 (`kaiming_uniform_` with a = sqrt(5) gives the bound).

    >>> import minigrad as mg
    >>> mg.nn.Linear(20, 30)(mg.ones(128, 20)).shape
    (128, 30)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_affine(self.weight, self.bias)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


def reset_affine(weight, bias):
    """PyTorch's first values of a linear or convolution layer: uniform in ±1/sqrt(fan_in), weight and bias."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    fan_in = math.prod(weight.shape[1:])
    if bias is not None and fan_in:
        init.uniform_(bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
