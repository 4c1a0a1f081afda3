"""rounding: floor_divide, trunc_divide, remainder. Integers stay integers; no gradient but that of remainder to its first operand."""

import numpy as np

from minigrad.ops.elementwise import binary


def _truncated(m, a, b):
    return (a / b).astype(a.dtype) if a.dtype.kind in "iu" else np.trunc(a / b)


@binary(lambda m, a, b: m.floor_divide(a, b))
def floor_divide(input, other):
    """y = floor(a / b)

    >>> import minigrad as mg
    >>> mg.floor_divide(mg.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """


@binary(_truncated, inplace_form=False)
def trunc_divide(input, other):
    """y = a / b rounded towards zero: `div(a, b, rounding_mode="trunc")`."""


@binary(lambda m, a, b: m.remainder(a, b), lambda m, dy: dy, lambda m, dy, a, b: -dy * m.floor_divide(a, b))
def remainder(input, other):
    """y = a - b floor(a / b), with the sign of b        da = dy, db = -dy floor(a / b)

    >>> import minigrad as mg
    >>> mg.remainder(mg.tensor([7, -7]), 3)
    tensor([1, 2])
    """


__all__ = ["floor_divide", "remainder"]
