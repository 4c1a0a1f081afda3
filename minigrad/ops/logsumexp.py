"""logsumexp: y = ln sum_j e^x_j        dx = dy e^(x - y), which is dy softmax(x)

The maximum is taken out first, so nothing overflows. How dimensions are folded: reduce.py. Kernel: csrc/cpu/reduce.cpp.
"""

from minigrad.backend.array import array_module, largest
from minigrad.dtypes import float64, get_default_dtype, is_floating
from minigrad.kernel import kernel
from minigrad.ops.operands import check_tensor
from minigrad.ops.reduce import Reduction, as_dims
from minigrad.tensor import method


@kernel()
def logsumexp_forward(y, x):
    xp = array_module(x)
    top = largest(x, 1)
    top = xp.where(xp.isfinite(top), top, 0)
    y[...] = xp.log(xp.exp(x - top).sum(1, dtype=float64)) + top[:, 0]


class Logsumexp(Reduction):
    """y = ln sum e^x        dx = dy e^(x - y)"""

    def run(self, y, x):
        logsumexp_forward(y, x)

    def keep(self, x, y):
        self.saved = (x, y)

    def gradient(self, dy):
        x, y = self.saved
        return self.spread(dy) * (self.input(0, x) - self.spread(self.output(y))).exp()


@method
def logsumexp(input, dim, keepdim=False):
    """y = ln of the sum of e^x over `dim`, without overflow        dx = dy e^(x - y), the softmax

    >>> import minigrad as mg
    >>> mg.logsumexp(mg.tensor([100.0, 100.0]), 0)
    tensor(100.6931)
    """
    check_tensor("logsumexp", input)
    input = input if is_floating(input.dtype) else input.to(get_default_dtype())
    return Logsumexp.apply(input, as_dims("logsumexp", dim, input.ndim), keepdim)


__all__ = ["logsumexp"]
