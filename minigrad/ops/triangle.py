"""triangle: tril, triu and diag, the parts of matrices that a diagonal cuts.

tril    y_ij = x_ij where j <= i + k, else 0        dx = dy there, else 0
diag    y = the k-th diagonal of x, or a matrix with x as its k-th diagonal        each is the other's gradient
"""

import numpy as np

from minigrad.backend.array import computed
from minigrad.ops.creation import zeros
from minigrad.ops.index_put import index_put
from minigrad.ops.indexing import Take
from minigrad.ops.inplace import inplace
from minigrad.ops.operands import check_tensor
from minigrad.tensor import method, wrap


def _without(op, input, outside, diagonal):
    """x with 0 where `outside` (rows, cols, diagonal) holds."""
    check_tensor(op, input)
    if input.ndim < 2:
        raise RuntimeError(f"[{op}] expected at least 2 dimensions, found shape {input.shape}")
    mask = wrap(computed(outside, *input.shape[-2:], diagonal))
    return input.masked_fill(mask.to(device=input.device), 0)


def _above(rows, cols, diagonal):
    return ~np.tri(rows, cols, diagonal, bool)


def _below(rows, cols, diagonal):
    return np.tri(rows, cols, diagonal - 1, bool)


@method
def tril(input, diagonal=0):
    """y_ij = x_ij on and below the k-th diagonal (j <= i + k), else 0; for the last two dimensions.

    Errors: RuntimeError below 2 dimensions.

    >>> import minigrad as mg
    >>> mg.tril(mg.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return _without("tril", input, _above, diagonal)


@method
def triu(input, diagonal=0):
    """y_ij = x_ij on and above the k-th diagonal (j >= i + k), else 0; for the last two dimensions.

    Errors: RuntimeError below 2 dimensions.

    >>> import minigrad as mg
    >>> mg.triu(mg.ones(2, 3), 1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """
    return _without("triu", input, _below, diagonal)


@method
def diag(input, diagonal=0):
    """The k-th diagonal of a matrix, or for a vector the matrix that has it as its k-th diagonal.

    Errors: RuntimeError for other than 1 or 2 dimensions.

    >>> import minigrad as mg
    >>> mg.diag(mg.tensor([1, 2]), 1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    >>> mg.diag(mg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    check_tensor("diag", input)
    if input.ndim not in (1, 2):
        raise RuntimeError(f"[diag] expected a vector or a matrix, found shape {input.shape}")
    rows, cols = input.shape if input.ndim == 2 else (input.numel() + abs(diagonal),) * 2
    along = np.arange(min(rows + min(diagonal, 0), cols - max(diagonal, 0)))
    index = (along - min(diagonal, 0), along + max(diagonal, 0), Ellipsis)
    if input.ndim == 2:
        return Take.apply(input, index)
    return index_put(zeros(rows, cols, dtype=input.dtype, device=input.device), index, input)


tril_, triu_ = inplace(tril), inplace(triu)
__all__ = ["diag", "tril", "triu"]
