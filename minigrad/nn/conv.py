"""conv: Conv2d."""

from minigrad.nn import functional as F
from minigrad.nn.linear import reset_affine
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import empty


class Conv2d(Module):
    """Slides learned windows over an image: y[n, o] = b[o] + sum over c of the cross-correlation W[o, c] ⋆ x[n, c].

    Weight and bias start uniform in ±1/sqrt(in_channels / groups · kernel height · kernel width), as in PyTorch.

    Args:
        in_channels, out_channels: how many planes come in and go out.
        kernel_size, stride, dilation: an int, or a pair (height, width).
        padding: zeros added on each side, int or pair; "valid" is 0, "same" keeps the size (stride 1 only).
        groups: the channels are cut into so many groups that do not see each other.
        bias: whether there is a b.
        padding_mode: only "zeros".
    Shape: input (N, in_channels, H, W) or (in_channels, H, W); output (N, out_channels, H', W') with
        H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1;
        weight (out_channels, in_channels / groups, kernel height, kernel width), bias (out_channels).
    Errors: ValueError for groups that do not divide the channels, an unknown padding, "same" with a stride, or a
        padding mode that is not there; RuntimeError when the input does not fit.
    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998.

    >>> import minigrad as mg
    >>> mg.nn.Conv2d(1, 8, 3, padding=1)(mg.zeros(2, 1, 28, 28)).shape
    (2, 8, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = pair(kernel_size), pair(stride), pair(dilation)
        self.padding = padding if isinstance(padding, str) else pair(padding)
        self.padding_mode = padding_mode
        self._check()
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def _check(self):
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            channels = f"{self.in_channels} and {self.out_channels}"
            raise ValueError(f"[Conv2d] groups is {self.groups}, a divisor of the channels {channels} was expected")
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise ValueError(f"[Conv2d] padding is {self.padding!r}, an int, a pair, 'same' or 'valid' was expected")
        if self.padding == "same" and self.stride != (1, 1):
            raise ValueError(f"[Conv2d] padding 'same' needs stride 1, found {self.stride}")
        if self.padding_mode != "zeros":
            raise ValueError(f"[Conv2d] padding_mode is {self.padding_mode!r}, only 'zeros' is supported")

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_affine(self.weight, self.bias)

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self):
        head = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        rest = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        changed = [f", {name}={getattr(self, name)!s}" for name, usual in rest.items() if getattr(self, name) != usual]
        return head + "".join(changed) + (", bias=False" if self.bias is None else "")


def pair(value):
    """An int twice, a pair as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)
