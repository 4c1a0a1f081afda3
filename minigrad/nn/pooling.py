"""pooling: MaxPool2d."""

from minigrad.nn import functional as F
from minigrad.nn.module import Module


class MaxPool2d(Module):
    """The largest value of each window: y[n, c, i, j] = max of x[n, c] over the window at (i · stride, j · stride).

    Args:
        kernel_size: size of the window, an int or a pair.
        stride: step between windows; the size of the window unless given.
        padding: how far windows may reach over the border, at most half a window; never the largest.
        dilation: step between the elements of a window.
        return_indices: give the positions of the maxima as well.
        ceil_mode: keep a last window that is not filled.
    Shape: input (N, C, H, W) or (C, H, W); output (N, C, H', W') with
        H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 (ceil with ceil_mode).
    Errors: RuntimeError when padding is more than half the window, or the output would be empty.

    >>> import minigrad as mg
    >>> mg.nn.MaxPool2d(2)(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[4.]]])
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x):
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self):
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
