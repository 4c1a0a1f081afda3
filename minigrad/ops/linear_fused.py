"""linear_fused: the linear layer and what follows it, in one pass over y

    linear_relu   y = max(0, z), z = x w^T + bias        dx, dw, dbias as of linear, of g = dy where y > 0, else 0
    linear_gelu   y = gelu(z)                            of g = dy gelu'(z)
    linear_add    y = z + other                          of dy, and dother = dy

Kernels: csrc/cpu/linear.cpp. The pass that makes g sums it to dbias. `nn.Sequential` uses the first two.
"""

from minigrad import ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, empty, empty_like
from minigrad.dtypes import is_floating
from minigrad.kernel import KERNELS, kernel
from minigrad.ops.linear import Linear, as_rows, check, fits, linear, linear_backward_bias, linear_forward
from minigrad.tensor import Tensor, wrap


@kernel()
def linear_relu_forward(y, x, w, bias):
    """y = max(0, x w^T + bias)"""
    linear_forward.reference(y, x, w, bias)
    y[y <= 0] = 0


@kernel(outs=2)
def linear_gelu_forward(y, slope, x, w, bias, tanh):
    """y = gelu(z), z = x w^T + bias; slope or None = gelu'(z). `tanh`: by gelu's approximation of that name."""
    z, name = empty_like(y), "gelu_tanh" if tanh else "gelu"
    linear_forward.reference(z, x, w, bias)
    KERNELS[f"{name}_forward"].reference(y, z)
    if slope is not None:
        KERNELS[f"{name}_backward"].reference(slope, 1, z)


@kernel()
def linear_add_forward(y, x, w, bias, other):
    """y = x w^T + bias + other (rows, out)"""
    linear_forward.reference(y, x, w, bias)
    y += other


@kernel(outs=2)
def linear_gelu_backward(g, dbias, dy, slope):
    """g (rows, out) = dy slope; dbias (out) or None = sum of g over rows"""
    g[...] = dy * slope
    if dbias is not None:
        linear_backward_bias.reference(dbias, g)


@kernel(outs=2)
def linear_relu_backward(g, dbias, dy, y):
    """g (rows, out) = dy where y > 0, else 0; dbias (out) or None = sum of g over rows"""
    g[...] = array_module(dy).where(y > 0, dy, 0)
    if dbias is not None:
        linear_backward_bias.reference(dbias, g)


class LinearRelu(Linear):
    """y = max(0, x w^T + bias)."""

    run = linear_relu_forward

    def forward(self, x, w, bias):
        y = super().forward(x, w, bias)
        self.saved = *self.saved, y
        return y

    def backward(self, dy):
        return self.masked(linear_relu_backward, as_rows(dy), as_rows(self.saved[2]))

    def masked(self, kernel, dy, saved):
        """dx, dw and dbias of g, which `kernel` makes of dy and of what was saved."""
        g, dbias = empty(dy.shape, dy.dtype), empty(dy.shape[1:], dy.dtype) if self.needs(2) else None
        kernel(g, dbias, dy, saved)
        return *self.products(g), dbias

    def gradient(self, dy):
        return super().gradient(ops.where(wrap(self.saved[2] > 0), dy, 0.0))


class LinearGelu(LinearRelu):
    """y = gelu(z), z = x w^T + bias."""

    gradient = Op.gradient

    def forward(self, x, w, bias, tanh):
        self.tanh = tanh
        y = Linear.forward(self, x, w, bias)
        self.saved = *self.saved, vars(self).pop("slope", None)
        return y

    def run(self, y, *args):
        self.slope = empty_like(y) if any(node is not None for node in self.inputs) else None
        linear_gelu_forward(y, self.slope, *args, self.tanh)

    def backward(self, dy):
        return self.masked(linear_gelu_backward, as_rows(dy), self.saved[2])

    def composed(self, x, w, bias, tanh):
        return ops.gelu(linear(x, w, bias), "tanh" if tanh else "none")


class LinearAdd(Linear):
    """y = x w^T + bias + other."""

    def forward(self, x, w, bias, other):
        self.run = lambda y, *args: linear_add_forward(y, *args, as_rows(other))
        y = super().forward(x, w, bias)
        del self.run
        return y

    def backward(self, dy):
        return *super().backward(dy), dy

    def gradient(self, dy):
        return *super().gradient(dy), dy


def linear_relu(input, weight, bias=None):
    """y = max(0, x w^T + b)        as `linear`, of dy where y > 0, else 0

    The same numbers as `relu(linear(input, weight, bias))`, without the pass between the two.

    Args and Errors: as of `linear`.

    >>> import minigrad as mg
    >>> from minigrad.ops.linear_fused import linear_relu
    >>> linear_relu(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0], [-1.0, 0.0]]))
    tensor([3., 0.])
    """
    if not fits(input, weight, bias):
        check("linear_relu", input, weight, bias)
        if not is_floating(input.dtype):
            return linear(input, weight, bias).relu()
    return LinearRelu.apply(input, weight, bias)


def linear_gelu(input, weight, bias=None, approximate="none"):
    """y = gelu(x w^T + b)        as `linear`, of dy gelu'(x w^T + b)

    Args: `approximate` as of `gelu`, the others and Errors as of `linear`.

    >>> import minigrad as mg
    >>> from minigrad.ops.linear_fused import linear_gelu
    >>> linear_gelu(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0], [-1.0, 0.0]]))
    tensor([ 2.9960, -0.1587])
    """
    if not fits(input, weight, bias) or approximate not in ("none", "tanh"):
        return ops.gelu(linear(input, weight, bias), approximate)
    return LinearGelu.apply(input, weight, bias, approximate == "tanh")


def linear_add(input, weight, other, bias=None):
    """y = x w^T + b + other        as `linear`, and dother = dy: a layer on a residual path

    Args: other (Tensor): (..., out), of the shape of y. The others and Errors: as of `linear`.

    >>> import minigrad as mg
    >>> from minigrad.ops.linear_fused import linear_add
    >>> linear_add(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0]]), mg.tensor([0.5]))
    tensor([3.5000])
    """
    usual = fits(input, weight, bias) and isinstance(other, Tensor) and other.dtype is input.dtype
    if not usual or other.shape != (*input.shape[:-1], weight.shape[0]):
        return linear(input, weight, bias) + other
    return LinearAdd.apply(input, weight, bias, other)
