"""binary: elementwise ops of two tensors, one row each: value, gradients, name, documentation.

Operands are Tensors or Python numbers; they are broadcast against each other and brought to their common dtype
(`dtypes.py`). Read `elementwise.py` first; the C++ rows are in csrc/cpu/elementwise.cpp. Errors: RuntimeError when
shapes do not broadcast, TypeError for operands that are neither Tensors nor numbers.
"""

from minigrad.dtypes import bool_
from minigrad.ops.elementwise import binary
from minigrad.ops.inplace import inplace, overwrite
from minigrad.ops.unary import _pow_scalar
from minigrad.tensor import Tensor, method


@binary(lambda m, a, b: a + b, lambda m, dy: dy, lambda m, dy: dy)
def _add(input, other):
    """y = a + b"""


@binary(lambda m, a, b: a - b, lambda m, dy: dy, lambda m, dy: -dy, bools=False)
def _sub(input, other):
    """y = a - b"""


@method
def add(input, other, *, alpha=1):
    """y = a + alpha b        da = dy, db = alpha dy

    Args:
        input (Tensor), other (Tensor or number): broadcast against each other.
        alpha (number): multiplies `other`.

    >>> import minigrad as mg
    >>> mg.add(mg.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return _add(input, other if alpha == 1 else other * alpha)


@method
def sub(input, other, *, alpha=1):
    """y = a - alpha b        da = dy, db = -alpha dy

    >>> import minigrad as mg
    >>> mg.sub(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 3.0]), alpha=2)
    tensor([-5., -4.])
    """
    return _sub(input, other if alpha == 1 else other * alpha)


@binary(lambda m, a, b: a * b, lambda m, dy, b: dy * b, lambda m, dy, a: dy * a)
def mul(input, other):
    """y = a b        da = dy b, db = dy a

    >>> import minigrad as mg
    >>> mg.mul(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0]))
    tensor([3., 8.])
    """


@binary(lambda m, a, b: a / b, lambda m, dy, b: dy / b, lambda m, dy, b, y: -dy * y / b, floats=True)
def _div(input, other):
    """y = a / b"""


def _rounded(input, other, how):
    from minigrad.ops.rounding import floor_divide, trunc_divide

    return {"floor": floor_divide, "trunc": trunc_divide}[how](input, other)


@method
def div(input, other, *, rounding_mode=None):
    """y = a / b        da = dy / b, db = -dy y / b

    Integers are divided as floats, unless `rounding_mode` is "floor" or "trunc" (not differentiable then).

    >>> import minigrad as mg
    >>> mg.div(mg.tensor([1, 7]), 2), mg.div(mg.tensor([1, 7]), 2, rounding_mode="floor")
    (tensor([0.5000, 3.5000]), tensor([0, 3]))
    """
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f"[div] rounding_mode must be None, 'floor' or 'trunc', found {rounding_mode!r}")
    return _rounded(input, other, rounding_mode)


@binary(
    lambda m, a, b: a**b,
    lambda m, dy, a, b: dy * m.where(b == 0, 0, b * a ** (b - 1)),
    lambda m, dy, a, b, y: dy * m.where((a == 0) & (b >= 0), 0, y * m.log(m.where((a == 0) & (b >= 0), 1, a))),
)
def _pow(input, other):
    """y = a^b"""


@method
def pow(input, exponent):
    """y = a^b        da = dy b a^(b-1) (0 where b = 0), db = dy y ln a (0 where a = 0 and b >= 0)

    Errors: RuntimeError for an integer tensor to a negative integer power.

    >>> import minigrad as mg
    >>> mg.pow(mg.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    floating = isinstance(input, Tensor) and input.is_floating_point()
    if floating and isinstance(exponent, (int, float)):
        return _pow_scalar(input, exponent)
    if not floating and isinstance(exponent, int) and exponent < 0:
        raise RuntimeError(f"[pow] integers to a negative integer power are not defined, found exponent {exponent}")
    return _pow(input, exponent)


def _share(m, dy, wins, ties):
    """The gradient that goes to the winner, half of it on a tie (PyTorch's convention)."""
    return m.where(ties, dy / 2, m.where(wins, dy, 0))


@binary(
    lambda m, a, b: m.maximum(a, b),
    lambda m, dy, a, b: _share(m, dy, a > b, a == b),
    lambda m, dy, a, b: _share(m, dy, b > a, a == b),
    inplace_form=False,
)
def maximum(input, other):
    """y = max(a, b), nan if either is        dy goes to the larger, half to each where they are equal

    >>> import minigrad as mg
    >>> mg.maximum(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 4.0]))
    tensor([3., 5.])
    """


@binary(
    lambda m, a, b: m.minimum(a, b),
    lambda m, dy, a, b: _share(m, dy, a < b, a == b),
    lambda m, dy, a, b: _share(m, dy, b < a, a == b),
    inplace_form=False,
)
def minimum(input, other):
    """y = min(a, b), nan if either is        dy goes to the smaller, half to each where they are equal

    >>> import minigrad as mg
    >>> mg.minimum(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 4.0]))
    tensor([1., 4.])
    """


# Comparisons: bool results, no gradient ------------------------------------------------------------------------------


@binary(lambda m, a, b: a == b, dtype=bool_)
def eq(input, other):
    """a == b, elementwise.

    >>> import minigrad as mg
    >>> mg.eq(mg.tensor([1, 2]), 2)
    tensor([False,  True])
    """


@binary(lambda m, a, b: a != b, dtype=bool_)
def ne(input, other):
    """a != b, elementwise.

    >>> import minigrad as mg
    >>> mg.ne(mg.tensor([1, 2]), 2)
    tensor([ True, False])
    """


@binary(lambda m, a, b: a > b, dtype=bool_)
def gt(input, other):
    """a > b, elementwise.

    >>> import minigrad as mg
    >>> mg.gt(mg.tensor([1, 3]), 2)
    tensor([False,  True])
    """


@binary(lambda m, a, b: a < b, dtype=bool_)
def lt(input, other):
    """a < b, elementwise.

    >>> import minigrad as mg
    >>> mg.lt(mg.tensor([1, 3]), 2)
    tensor([ True, False])
    """


@binary(lambda m, a, b: a >= b, dtype=bool_)
def ge(input, other):
    """a >= b, elementwise.

    >>> import minigrad as mg
    >>> mg.ge(mg.tensor([1, 2]), 2)
    tensor([False,  True])
    """


@binary(lambda m, a, b: a <= b, dtype=bool_)
def le(input, other):
    """a <= b, elementwise.

    >>> import minigrad as mg
    >>> mg.le(mg.tensor([1, 3]), 2)
    tensor([ True, False])
    """


# In place ------------------------------------------------------------------------------------------------------------


@method
def add_(input, other, *, alpha=1):
    """`add` in place: the result takes the memory of `input`, which is returned."""
    return _add.inplace(input, other if alpha == 1 else other * alpha)


@method
def sub_(input, other, *, alpha=1):
    """`sub` in place: the result takes the memory of `input`, which is returned."""
    return _sub.inplace(input, other if alpha == 1 else other * alpha)


@method
def div_(input, other, *, rounding_mode=None):
    """`div` in place: the result takes the memory of `input`, which is returned."""
    if rounding_mode is None:
        return _div.inplace(input, other)
    return overwrite("div_", input, div(input, other, rounding_mode=rounding_mode))


pow_ = inplace(pow)
__all__ = ["add", "div", "eq", "ge", "gt", "le", "lt", "maximum", "minimum", "mul", "ne", "pow", "sub"]
