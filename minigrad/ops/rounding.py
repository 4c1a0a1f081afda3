"""rounding: floor_divide, trunc_divide and remainder. Integers stay integers.

A rounded quotient is constant between its jumps, so its gradient is 0, as that of `sign`.
"""

from minigrad.dtypes import is_floating
from minigrad.ops.elementwise import binary
from minigrad.ops.inplace import inplace
from minigrad.tensor import Tensor, method


def _flat(m, dy):
    return m.zeros_like(dy)


def _truncated(m, a, b):
    if a.dtype.kind not in "iu":
        return m.trunc(a / b)
    down = m.floor_divide(a, b)
    return down + ((a - down * b != 0) & (down < 0))


@binary(lambda m, a, b: m.floor_divide(a, b), _flat, _flat)
def _floor_divide(input, other):
    """y = floor(a / b)"""


@binary(_truncated, _flat, _flat)
def _trunc_divide(input, other):
    """y = a / b rounded towards zero"""


@binary(lambda m, a, b: m.remainder(a, b), lambda m, dy: dy, lambda m, dy, a, b: -dy * m.floor_divide(a, b))
def _remainder(input, other):
    """y = a - b floor(a / b)"""


def _check_divisor(op, input, other):
    """Raise for an integer division by zero, which has no result (floats have inf and nan)."""
    if isinstance(input, Tensor) and input.is_floating_point():
        return
    arrays = [x.array if isinstance(x, Tensor) else x for x in (input, other)]
    whole = not any(is_floating(a.dtype) if hasattr(a, "dtype") else isinstance(a, float) for a in arrays)
    if whole and ((arrays[1] == 0).any() if hasattr(arrays[1], "any") else arrays[1] == 0):
        raise RuntimeError(f"[{op}] an integer division by zero has no result")


@method
def floor_divide(input, other):
    """y = floor(a / b)        da = db = 0

    Errors: RuntimeError when integers are divided by zero.

    >>> import minigrad as mg
    >>> mg.floor_divide(mg.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    _check_divisor("floor_divide", input, other)
    return _floor_divide(input, other)


def trunc_divide(input, other):
    """y = a / b rounded towards zero, `div(a, b, rounding_mode="trunc")`        da = db = 0"""
    _check_divisor("div", input, other)
    return _trunc_divide(input, other)


@method
def remainder(input, other):
    """y = a - b floor(a / b), with the sign of b        da = dy, db = -dy floor(a / b)

    Errors: RuntimeError when integers are divided by zero.

    >>> import minigrad as mg
    >>> mg.remainder(mg.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    _check_divisor("remainder", input, other)
    return _remainder(input, other)


floor_divide_, remainder_ = inplace(floor_divide), inplace(remainder)
__all__ = ["floor_divide", "remainder"]
