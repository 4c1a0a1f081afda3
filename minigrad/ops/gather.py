"""gather: elements picked, or written, by an index along one dimension or by a mask.

    gather         y[i, j] = x[index[i, j], j]  (dim 0)            dx = zeros plus dy at those places
    scatter        y = x with src[i, j] at [index[i, j], j]        dx = dy with 0 there, dsrc = dy there
    scatter_add    y = x plus src[i, j] at [index[i, j], j]        dx = dy, dsrc = dy there

All are indices as in `indexing.py` and `index_put.py`: `along` says which, the gradients come with them.
"""

import numpy as np

from minigrad.backend.array import array_module
from minigrad.backend.checks import check_bounds
from minigrad.dtypes import INTEGERS, int64
from minigrad.ops.index_put import index_put
from minigrad.ops.indexing import Take
from minigrad.ops.inplace import inplace
from minigrad.ops.operands import broadcast_sizes, check_tensor
from minigrad.ops.where import check_mask
from minigrad.tensor import Tensor, check_dim, method, wrap


def _index(op, index, n, dim):
    """The array of an index Tensor. Errors: RuntimeError if it is not integer, IndexError out of range."""
    check_tensor(op, index, "the index")
    if index.dtype not in INTEGERS:
        raise RuntimeError(f"[{op}] the index must be integer, found {index.dtype}")
    array = index.array.astype(int64, copy=False)
    check_bounds(op, array, n, f"dim {dim} of size {n}")
    return array


def along(op, x, dim, index):
    """The index that reads or writes x[.., index[.., i, ..], ..]: `index` along `dim`, its own place in the others."""
    check_tensor(op, x)
    dim = check_dim(op, dim, x.ndim)
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError(f"[{op}] the index has shape {index.shape}, expected as many dimensions as {x.shape}")
    if any(n > m and d != dim for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=False))):
        raise RuntimeError(f"[{op}] the index of shape {index.shape} is larger than {x.shape} in dimensions but {dim}")
    array = _index(op, index, x.shape[dim] if x.ndim else 1, dim)
    grid = array_module(array).ogrid[tuple(map(slice, array.shape))]
    return (*grid[:dim], array, *grid[dim + 1 :], Ellipsis)


@method
def gather(input, dim, index):
    """y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on.

    Args:
        dim (int): along which the index counts.
        index (integer Tensor): of as many dimensions as `input`, in none but `dim` larger.

    Shape: that of `index`.
    Errors: IndexError for a dim or an index out of range (on a GPU, where to look would be to wait, an index counts
    modulo the size), RuntimeError for an index of wrong shape or dtype.

    >>> import minigrad as mg
    >>> mg.gather(mg.tensor([[1, 2], [3, 4]]), 1, mg.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    place = along("gather", input, dim, index)
    return Take.apply(_flat(input), place).reshape(index.shape)


def _flat(x):
    """A 0-dim tensor as one of one element."""
    return x if x.ndim else x.reshape(1)


@method
def take_along_dim(input, indices, dim=None):
    """`gather`, with `indices` and `input` broadcast in all other dimensions; without `dim`, from the flattened input.

    >>> import minigrad as mg
    >>> x = mg.tensor([[3, 1], [2, 4]])
    >>> mg.take_along_dim(x, x.argmin(1, keepdim=True), 1)
    tensor([[1],
            [2]])
    """
    check_tensor("take_along_dim", input)
    check_tensor("take_along_dim", indices, "the index")
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            f"[take_along_dim] the index has shape {indices.shape}, expected as many dimensions as {input.shape}"
        )
    dim = check_dim("take_along_dim", dim, input.ndim)
    rest = [x.shape[:dim] + (1,) + x.shape[dim + 1 :] for x in (input, indices)]
    shape = list(broadcast_sizes("take_along_dim", *rest))
    sizes = [[*shape[:dim], x.shape[dim], *shape[dim + 1 :]] for x in (input, indices)]
    return gather(input.expand(sizes[0]), dim, indices.expand(sizes[1]))


@method
def index_select(input, dim, index):
    """y = x at the places `index` (a vector) along `dim`, a copy.

    Errors: IndexError for a dim or an index out of range or no vector, RuntimeError for an index that is not integer.

    >>> import minigrad as mg
    >>> mg.index_select(mg.tensor([[1, 2], [3, 4]]), 1, mg.tensor([1, 1, 0]))
    tensor([[2, 2, 1],
            [4, 4, 3]])
    """
    check_tensor("index_select", input)
    dim = check_dim("index_select", dim, input.ndim)
    array = _index("index_select", index, _flat(input).shape[dim], dim)
    if array.ndim > 1:
        raise IndexError(f"[index_select] the index must be a vector, found shape {array.shape}")
    y = Take.apply(_flat(input), (*(slice(None),) * dim, array.reshape(-1), Ellipsis))
    return y if input.ndim else y.reshape(())


def _source(op, src, index):
    """The part of `src` that the index reaches."""
    if not isinstance(src, Tensor):
        return wrap(np.asarray(src))
    if src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
        raise RuntimeError(f"[{op}] src has shape {src.shape}, expected at least that of the index, {index.shape}")
    return src if src.shape == index.shape else src[tuple(map(slice, index.shape))]


def _scatter(op, input, dim, index, src, accumulate):
    place = along(op, input, dim, index)
    return index_put(_flat(input), place, _source(op, src, index), accumulate).reshape(input.shape)


@method
def scatter(input, dim, index, src):
    """y = x, but src[i, j] at [index[i, j], j] for dim 0, and so on; where places coincide the last one stays.

    Args:
        index (integer Tensor): of as many dimensions as `input`, in none but `dim` larger.
        src (Tensor or number): at least as large as the index.

    Errors: IndexError for a dim or an index out of range, RuntimeError for shapes that do not fit.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3).scatter(1, mg.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    return _scatter("scatter", input, dim, index, src, False)


@method
def scatter_add(input, dim, index, src):
    """y = x plus src[i, j] at [index[i, j], j] for dim 0, and so on. Arguments and errors as in `scatter`.

    >>> import minigrad as mg
    >>> mg.zeros(3).scatter_add(0, mg.tensor([0, 2, 0]), mg.tensor([1.0, 2.0, 3.0]))
    tensor([4., 0., 2.])
    """
    return _scatter("scatter_add", input, dim, index, src, True)


@method
def masked_select(input, mask):
    """The elements of x where `mask` holds, as a vector; both are broadcast.

    Errors: RuntimeError if the mask is not bool or shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.masked_select(mg.tensor([1, 2, 3]), mg.tensor([True, False, True]))
    tensor([1, 3])
    """
    check_tensor("masked_select", input)
    check_mask("masked_select", mask)
    shape = broadcast_sizes("masked_select", input.shape, mask.shape)
    return Take.apply(input.expand(shape), (np.broadcast_to(mask.array, shape), Ellipsis)).reshape(-1)


@method
def nonzero(input, *, as_tuple=False):
    """Where x is not 0: a matrix with one row of indices per place, or with `as_tuple` one vector per dimension.

    >>> import minigrad as mg
    >>> mg.nonzero(mg.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    check_tensor("nonzero", input)
    if as_tuple:
        return tuple(wrap(places) for places in _flat(input).array.nonzero())
    return wrap(np.argwhere(input.array))


scatter_, scatter_add_ = inplace(scatter), inplace(scatter_add)
__all__ = ["gather", "index_select", "masked_select", "nonzero", "scatter", "scatter_add", "take_along_dim"]
