"""fusion: runs of modules that `Sequential` computes as one op: the table, then how a list of modules is planned.

A pattern is a run of module types with a function of the input and those modules that gives the very results they would
give in turn (only their gradients may add up in another order). It is used for modules of exactly these types, and only
while they have no hooks and no `forward` of their own, so nobody can tell but by the clock. To add one, write such a
function under `@fuses(...)`.
"""

from minigrad.dtypes import HALVES
from minigrad.nn.activation import GELU, ReLU
from minigrad.nn.conv import Conv2d
from minigrad.nn.linear import Linear
from minigrad.nn.norm import BatchNorm2d
from minigrad.nn.pooling import MaxPool2d
from minigrad.ops.batch_norm_relu_pool import batch_norm_relu_pool
from minigrad.ops.conv2d_relu_pool import conv2d_relu_pool
from minigrad.ops.linear_fused import linear_gelu, linear_relu

PATTERNS = {}  # types of modules -> function(input, *modules); what it cannot do after all it gives back NotImplemented


def fuses(*types):
    """Enter the function under the decorator in the table."""

    def enter(function):
        PATTERNS[types] = function
        return function

    return enter


@fuses(Linear, ReLU)
def _linear_relu(x, linear, relu):
    return linear_relu(x, linear.weight, linear.bias)


@fuses(Linear, GELU)
def _linear_gelu(x, linear, gelu):
    """Halves would be rounded once less."""
    return NotImplemented if x.dtype in HALVES else linear_gelu(x, linear.weight, linear.bias, gelu.approximate)


@fuses(Conv2d, ReLU, MaxPool2d)
def _conv2d_relu_pool(x, conv, relu, pool):
    if conv.groups != 1 or not _is_of_squares(pool):
        return NotImplemented
    return conv2d_relu_pool(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation)


@fuses(BatchNorm2d, ReLU, MaxPool2d)
def _batch_norm_relu_pool(x, norm, relu, pool):
    return batch_norm_relu_pool(*norm.arguments(x)) if _is_of_squares(pool) else NotImplemented


@fuses(ReLU, MaxPool2d)
def _pool_relu(x, relu, pool):
    """The maximum first: it commutes with relu, which then has less to do."""
    return NotImplemented if relu.inplace or pool.return_indices else pool.forward(x).relu()


def _is_of_squares(pool):
    """Whether a MaxPool2d takes the maxima of 2 x 2 squares side by side, and nothing else."""
    usual = pool.kernel_size in (2, (2, 2)) and pool.stride in (2, (2, 2)) and pool.padding in (0, (0, 0))
    return usual and pool.dilation in (1, (1, 1)) and not pool.ceil_mode and not pool.return_indices


class Fused:
    """A run of modules in one call, as long as nobody looks in between."""

    __slots__ = ("function", "modules")

    def __init__(self, function, modules):
        self.function, self.modules = function, modules

    def __call__(self, x):
        for module in self.modules:
            if module._hooks is not None or "forward" in module.__dict__:
                return self.in_turn(x)
        y = self.function(x, *self.modules)
        return self.in_turn(x) if y is NotImplemented else y

    def in_turn(self, x):
        for module in self.modules:
            x = module(x)
        return x


def plan(modules):
    """What to call one after the other for `modules`: they themselves, and the longest runs that are in the table."""
    steps, types, at = [], tuple(map(type, modules)), 0
    longest = max(map(len, PATTERNS))
    while at < len(modules):
        ends = range(min(len(modules), at + longest), at, -1)
        end = next((e for e in ends if types[at:e] in PATTERNS), None)
        steps.append(modules[at] if end is None else Fused(PATTERNS[types[at:end]], modules[at:end]))
        at = at + 1 if end is None else end
    return steps
