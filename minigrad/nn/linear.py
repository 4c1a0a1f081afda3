"""linear: Identity, Linear, and Int8Linear, which is made of a trained Linear."""

import math

from minigrad.dtypes import float32, int8, int64
from minigrad.grad_mode import no_grad
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import empty, ones, where, zeros
from minigrad.ops.int8_linear import int8_linear


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


class Int8Linear(Module):
    """y = (x Wᵀ) s + b with W of one byte each: a trained `Linear` for inference, in a quarter of the memory.

    Where few rows come in at a time (a language model writing token by token), the time of a linear layer is that of
    reading its weights. Here W is rounded to whole numbers, -127 to 127, with a scale s for each row; x and the sums
    stay floating. The rounding moves an output by at most sum |x| max |w| / 254, w the row.

    Args: as of `Linear`; all values are 0 until `from_linear` or `load_state_dict` brings others.
    Shape: input (..., in_features), output (..., out_features); weight (out_features, in_features) int8,
        scale (out_features), bias (out_features).
    Errors: RuntimeError when the last dimension of the input is not in_features.
    Source: Dettmers et al., LLM.int8(), 2022 (a scale for each row).

    >>> import minigrad as mg
    >>> linear = mg.nn.Linear(20, 30)
    >>> layer, x = mg.nn.Int8Linear.from_linear(linear), mg.ones(128, 20)
    >>> bool(((layer(x) - linear(x)).abs() < 0.02).all())
    True
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("weight", zeros(out_features, in_features, dtype=int8))
        self.register_buffer("scale", ones(out_features, dtype=float32))
        self.register_buffer("bias", zeros(out_features, dtype=dtype) if bias else None)

    @classmethod
    def from_linear(cls, linear):
        """The layer with the rounded weights of `linear`, whose own stay as they are."""
        layer = cls(linear.in_features, linear.out_features, linear.bias is not None, linear.weight.dtype)
        with no_grad():
            weight = linear.weight.to(float32)
            largest = weight.abs().amax(1) if linear.in_features else ones(linear.out_features)
            layer.scale.copy_(where(largest > 0, largest, 127.0) / 127)
            layer.weight.copy_((weight / layer.scale.reshape(-1, 1) + 127.5).to(int64) - 127)  # to the nearest
            if linear.bias is not None:
                layer.bias.copy_(linear.bias)
        return layer

    def forward(self, x):
        return int8_linear(x, self.weight, self.scale, self.bias)

    extra_repr = Linear.extra_repr


def reset_affine(weight, bias):
    """PyTorch's first values of a linear or convolution layer: uniform in ±1/sqrt(fan_in), weight and bias."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    fan_in = math.prod(weight.shape[1:])
    if bias is not None and fan_in:
        init.uniform_(bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
