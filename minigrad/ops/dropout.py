"""dropout: y = x m / (1 - p), m being 0 with probability p and else 1        dx = dy m / (1 - p)

m is never stored: element i of the stream (seed, offset) decides, and backward draws it again. Kernels:
csrc/cpu/random.cpp.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty_like
from minigrad.kernel import kernel
from minigrad.ops.inplace import overwrite
from minigrad.ops.loss import check_floating
from minigrad.random import default_generator, uniform_bits


@kernel()
def dropout_forward(y, x, p, seed, offset):
    xp = array_module(x)
    kept = uniform_bits(x.size, seed, offset, xp).reshape(x.shape) >= p
    y[...] = xp.where(kept, x / (1 - p) if p < 1 else x, 0)


@kernel()
def dropout_backward(dx, dy, p, seed, offset):
    dropout_forward.reference(dx, dy, p, seed, offset)


class Dropout(Op):
    """The map from x to y is linear and its own gradient: with the same stream it is applied to dy."""

    def forward(self, x, p, seed, offset):
        self.stream = p, seed, offset
        return self.run(dropout_forward, x)

    def backward(self, dy):
        return self.run(dropout_backward, dy)

    def gradient(self, dy):
        return Dropout.apply(dy, *self.stream)

    def run(self, kernel, x):
        y = empty_like(x)
        kernel(y, contiguous(x), *self.stream)
        return y


def dropout(input, p=0.5, training=True, inplace=False):
    """y = 0 with probability p, else x / (1 - p)        dx = 0 where y is, else dy / (1 - p)

    The mean stays what it was. Numbers are drawn from the default generator (`manual_seed`).

    Args:
        input (Tensor): any shape.
        p (float): the probability of 0.
        training (bool): if False, `input` itself is returned.
        inplace (bool): write the result into the memory of `input`.

    Errors: ValueError for p outside [0, 1], RuntimeError for integers.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    >>> import minigrad as mg
    >>> y = mg.dropout(mg.ones(1000), 0.2)
    >>> sorted(set(y.tolist()))
    [0.0, 1.25]
    >>> mg.dropout(mg.ones(3), 0.2, training=False)
    tensor([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"[dropout] p must lie in [0, 1], found {p}")
    if not training or p == 0:
        return input
    check_floating("dropout", input)
    y = Dropout.apply(input, float(p), *default_generator.claim(input.numel()))
    return overwrite("dropout_", input, y) if inplace else y


__all__ = ["dropout"]
