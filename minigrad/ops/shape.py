"""shape: the same elements under another shape, as views wherever strides allow; no kernels.

Order: reshaping, adding and dropping dimensions of size 1, repeating along them, copies. Reordering is in `permute.py`.
"""

import math

import numpy as np

from minigrad.autograd import Op
from minigrad.backend.array import copy, reshaped
from minigrad.ops.operands import as_sizes, check_tensor, sum_to
from minigrad.ops.view import View
from minigrad.tensor import check_dim, method

# Reshaping -----------------------------------------------------------------------------------------------------------


class Reshape(View):
    """y[i] = x[i] in C order under another shape        dx = dy in the old shape"""

    def forward(self, x, shape):
        self.shape = x.shape
        return reshaped(x, shape)

    def gradient(self, dy):
        return reshape(dy, self.shape)


def full_shape(op, x, shape, count=None):
    """`shape` with its -1 worked out, for all elements of x or `count`. Errors: RuntimeError if sizes do not fit."""
    shape, count = tuple(int(n) for n in shape), x.numel() if count is None else count
    free = shape.count(-1)
    rest = math.prod(n for n in shape if n != -1)
    fits = not any(n < -1 for n in shape) and free <= 1
    fits = fits and (rest != 0 and count % rest == 0 if free else rest == count)
    if not fits:
        raise RuntimeError(f"[{op}] shape {shape} is not possible for {count} elements of shape {x.shape}")
    return tuple(count // rest if n == -1 else n for n in shape) if free else shape


@method
def reshape(input, *shape):
    """The elements in C order under another shape: a view if strides allow, else a copy.

    Args:
        shape (ints or a tuple): sizes; one may be -1 and is worked out.

    Errors: RuntimeError if the sizes do not multiply to the number of elements.

    >>> import minigrad as mg
    >>> mg.reshape(mg.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    check_tensor("reshape", input)
    return Reshape.take(input, full_shape("reshape", input, as_sizes(shape)))


@method
def view(input, *shape):
    """`reshape` that never copies. Errors: RuntimeError if the strides do not allow a view (use `reshape`).

    >>> import minigrad as mg
    >>> mg.arange(4).view(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    shape = full_shape("view", input, as_sizes(shape))
    if (
        not input.array.flags.c_contiguous
        and not np.shares_memory(input.array.reshape(shape), input.array)
        and input.numel()
    ):
        raise RuntimeError(
            f"[view] shape {shape} is not a view of strides {input.stride()}: use reshape, which may copy"
        )
    return Reshape.take(input, shape)


@method
def view_as(input, other):
    """`view` with the shape of `other`."""
    return view(input, *other.shape)


@method
def reshape_as(input, other):
    """`reshape` with the shape of `other`."""
    return reshape(input, *other.shape)


@method
def flatten(input, start_dim=0, end_dim=-1):
    """Join dimensions `start_dim` to `end_dim` into one.

    Errors: IndexError for a dim out of range, RuntimeError if start_dim lies behind end_dim.

    >>> import minigrad as mg
    >>> mg.flatten(mg.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    check_tensor("flatten", input)
    first, last = check_dim("flatten", start_dim, input.ndim), check_dim("flatten", end_dim, input.ndim)
    if first > last:
        raise RuntimeError(f"[flatten] start_dim {start_dim} comes after end_dim {end_dim} for shape {input.shape}")
    shape = input.shape
    return reshape(input, *shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


@method
def unflatten(input, dim, sizes):
    """Split dimension `dim` into `sizes` (one may be -1): the inverse of `flatten`.

    Errors: RuntimeError if the sizes do not multiply to that of the dimension.

    >>> import minigrad as mg
    >>> mg.unflatten(mg.zeros(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    check_tensor("unflatten", input)
    dim = check_dim("unflatten", dim, input.ndim)
    sizes = full_shape("unflatten", input, sizes, input.shape[dim])
    return reshape(input, *input.shape[:dim], *sizes, *input.shape[dim + 1 :])


# Dimensions of size 1, and repetition --------------------------------------------------------------------------------


@method
def squeeze(input, dim=None):
    """Drop all dimensions of size 1, or only `dim` (an int or a tuple), as a view.

    >>> import minigrad as mg
    >>> mg.squeeze(mg.zeros(1, 2, 1)).shape, mg.squeeze(mg.zeros(1, 2, 1), 0).shape
    ((2,), (2, 1))
    """
    check_tensor("squeeze", input)
    dims = range(input.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    drop = {check_dim("squeeze", d, input.ndim) for d in dims}
    return reshape(input, *[n for d, n in enumerate(input.shape) if n != 1 or d not in drop])


@method
def unsqueeze(input, dim):
    """Insert a dimension of size 1 at `dim`, as a view.

    >>> import minigrad as mg
    >>> mg.unsqueeze(mg.zeros(2, 3), -1).shape
    (2, 3, 1)
    """
    check_tensor("unsqueeze", input)
    dim = check_dim("unsqueeze", dim, input.ndim + 1)
    return Unsqueeze.take(input, dim)


class Unsqueeze(View):
    """y = x with a dimension of size 1 more        dx = dy without it"""

    def forward(self, x, dim):
        self.shape = x.shape
        return x[(slice(None),) * dim + (None,)]

    def gradient(self, dy):
        return reshape(dy, self.shape)


class Expand(View):
    """y = x repeated along dimensions of size 1, without copying        dx = dy summed over them"""

    def forward(self, x, shape):
        self.shape = x.shape
        return np.broadcast_to(x, shape)

    def gradient(self, dy):
        return sum_to(dy, self.shape)


@method
def expand(input, *sizes):
    """Repeat dimensions of size 1 to the given sizes (-1: leave), as a view without memory of its own.

    Errors: RuntimeError if a dimension is neither 1 nor of the size asked for.

    >>> import minigrad as mg
    >>> mg.expand(mg.tensor([[1], [2]]), 2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    check_tensor("expand", input)
    sizes = as_sizes(sizes)
    own = (None,) * (len(sizes) - input.ndim) + input.shape
    shape = tuple(m if n == -1 else n for n, m in zip(sizes, own, strict=False))
    if len(own) != len(sizes) or any(m not in (None, 1, n) for n, m in zip(shape, own, strict=True)) or None in shape:
        raise RuntimeError(
            f"[expand] sizes {sizes} do not fit shape {input.shape}: only dimensions of size 1 can be repeated"
        )
    return Expand.take(input, shape)


@method
def expand_as(input, other):
    """`expand` to the shape of `other`."""
    return expand(input, *other.shape)


@method
def broadcast_to(input, shape):
    """`expand` to `shape`."""
    return expand(input, *shape)


# Copies --------------------------------------------------------------------------------------------------------------


class Clone(Op):
    """y = x in new memory, in C order        dx = dy"""

    def forward(self, x):
        return copy(x)

    def gradient(self, dy):
        return dy


@method
def clone(input):
    """A copy in memory of its own, through which gradients flow.

    >>> import minigrad as mg
    >>> mg.clone(mg.tensor([1.0]))
    tensor([1.])
    """
    check_tensor("clone", input)
    return Clone.apply(input)


@method
def contiguous(input):
    """The tensor itself if its elements lie in C order, else a copy that does."""
    return input if input.array.flags.c_contiguous else Clone.apply(input)


__all__ = ["broadcast_to", "clone", "expand", "expand_as", "flatten", "reshape", "squeeze", "unflatten", "unsqueeze"]
