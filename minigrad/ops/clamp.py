"""clamp: y = min(max(x, lo), hi)        dx = dy where lo <= x <= hi, else 0"""

import math

from minigrad.ops.binary import maximum, minimum
from minigrad.ops.inplace import inplace
from minigrad.ops.operands import check_tensor
from minigrad.ops.unary import _clamp
from minigrad.ops.where import where
from minigrad.tensor import Tensor, method


@method
def clamp(input, min=None, max=None):
    """y = min(max(x, lo), hi)        dx = dy where lo <= x <= hi, else 0

    Args:
        min, max (number or Tensor, optional): the bounds; at least one. Where min > max the result is max.

    Errors: ValueError if both are missing.

    >>> import minigrad as mg
    >>> mg.clamp(mg.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_tensor("clamp", input)
    if min is None and max is None:
        raise ValueError("[clamp] at least one of min and max must be given")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return _by_tensors(input, min, max)
    if not input.is_floating_point():
        low = input if min is None else maximum(input, min)
        return low if max is None else minimum(low, max)
    return _clamp(input, -math.inf if min is None else min, math.inf if max is None else max)


def _by_tensors(input, low, high):
    """Bounds that are tensors get the gradient where they cut."""
    if low is not None:
        input = where(input < low, low, input)
    return input if high is None else where(input > high, high, input)


clamp_ = inplace(clamp)
__all__ = ["clamp"]
