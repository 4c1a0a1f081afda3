"""join: several tensors into one, and one into several.

cat      y = x_1, x_2, ... one behind the other along dim        dx_i = the part of dy where x_i lies
stack    the same along a new dim                                dx_i = dy at place i
flip     y = x with the order along dims reversed                dx = dy reversed
roll     y = x moved on along dims, the end coming in first      dx = dy moved back
"""

import numpy as np

from minigrad.autograd import Op, as_tuple
from minigrad.backend.array import assign, computed, contiguous, empty, write
from minigrad.dtypes import result_dtype
from minigrad.ops.operands import check_tensor
from minigrad.tensor import check_dim, method


def _span(dim, start, stop):
    """The index of places `start` to `stop` along `dim`."""
    return (slice(None),) * dim + (slice(start, stop), Ellipsis)


LARGE = 8192  # elements of a part from which on copies with threads are ahead of numpy's


def _concatenate(y, xs, dim):
    np.concatenate(xs, dim, out=y)


def _concatenated(xs, dim, sizes):
    """The arrays one behind the other along `dim`, where they have these sizes."""
    y = empty((*xs[0].shape[:dim], sum(sizes), *xs[0].shape[dim + 1 :]), xs[0].dtype)
    if y.size < LARGE * len(xs):
        write(_concatenate, y, xs, dim)
        return y
    start = 0
    for x, n in zip(xs, sizes, strict=True):
        assign(y[_span(dim, start, start + n)], x)
        start += n
    return y


class Cat(Op):
    def forward(self, dim, *xs):
        self.dim, self.sizes = dim, [x.shape[dim] for x in xs]
        return _concatenated(xs, dim, self.sizes)

    def gradient(self, dy):
        parts, start = [None], 0
        for i, n in enumerate(self.sizes):
            parts.append(dy[_span(self.dim, start, start + n)] if self.needs(i + 1) else None)
            start += n
        return parts


class Stack(Op):
    def forward(self, dim, *xs):
        self.dim = dim
        return _concatenated([np.expand_dims(x, dim) for x in xs], dim, [1] * len(xs))

    def gradient(self, dy):
        before = (slice(None),) * self.dim
        return [None, *[dy[(*before, i)] if self.needs(i + 1) else None for i in range(dy.shape[self.dim])]]


class Flip(Op):
    def forward(self, x, dims):
        self.dims = dims
        return contiguous(np.flip(x, dims))

    def gradient(self, dy):
        return flip(dy, self.dims)


class Roll(Op):
    def forward(self, x, shifts, dims):
        self.shifts, self.dims = shifts, dims
        return computed(np.roll, x, shifts, dims)

    def gradient(self, dy):
        return Roll.apply(dy, [-n for n in self.shifts], self.dims)


def _joined(op, tensors):
    """The tensors to join, in their common dtype."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"[{op}] expected a list or tuple of Tensors, found {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"[{op}] found no tensors, expected at least one")
    for x in tensors:
        check_tensor(op, x, "each of the tensors")
    if len({x.dtype for x in tensors}) == 1:
        return tensors
    dtype = result_dtype([x.array for x in tensors])
    return [x.to(dtype) for x in tensors]


def cat(tensors, dim=0):
    """y = the tensors one behind the other along `dim`        dx_i = the part of dy where x_i lies

    Args:
        tensors (sequence of Tensors): of equal shapes but along `dim`, of any dtypes; empty vectors fit everywhere.
        dim (int): along which to join.

    Errors: ValueError if there are none, RuntimeError if shapes do not fit, IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.cat([mg.tensor([1, 2]), mg.tensor([3])])
    tensor([1, 2, 3])
    """
    tensors = _joined("cat", tensors)
    if any(x.ndim != 1 for x in tensors):
        tensors = [x for x in tensors if x.shape != (0,)]
    first = tensors[0]
    if first.ndim == 0:
        raise RuntimeError("[cat] 0-dim tensors cannot be joined, expected at least 1 dimension: use stack")
    dim = check_dim("cat", dim, first.ndim)
    for x in tensors:
        if x.ndim != first.ndim or x.shape[:dim] + x.shape[dim + 1 :] != first.shape[:dim] + first.shape[dim + 1 :]:
            raise RuntimeError(
                f"[cat] shapes {first.shape} and {x.shape} do not fit: sizes must be equal in all dimensions but {dim}"
            )
    return Cat.apply(dim, *tensors)


concat = concatenate = cat


def stack(tensors, dim=0):
    """y = the tensors side by side along a new dimension `dim`        dx_i = dy at place i

    Errors: ValueError if there are none, RuntimeError if shapes differ, IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.stack([mg.tensor([1, 2]), mg.tensor([3, 4])], 1)
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = _joined("stack", tensors)
    for x in tensors:
        if x.shape != tensors[0].shape:
            raise RuntimeError(f"[stack] shapes {tensors[0].shape} and {x.shape} differ, expected equal ones")
    return Stack.apply(check_dim("stack", dim, tensors[0].ndim + 1), *tensors)


@method
def flip(input, *dims):
    """y = x with the order along `dims` reversed, a copy        dx = dy reversed

    Errors: IndexError for a dim out of range, RuntimeError if one appears twice.

    >>> import minigrad as mg
    >>> mg.flip(mg.tensor([1, 2, 3]), 0)
    tensor([3, 2, 1])
    """
    check_tensor("flip", input)
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    dims = tuple(check_dim("flip", d, input.ndim) for d in given)
    if len(set(dims)) < len(dims):
        raise RuntimeError(f"[flip] a dimension appears twice in {given}")
    return Flip.apply(input, dims) if input.ndim else input.clone()


@method
def roll(input, shifts, dims=None):
    """y = x moved on by `shifts` places along `dims`, the end coming in first        dx = dy moved back

    Args:
        shifts (int or tuple), dims (int or tuple): as many of both; without dims the flattened x is moved.

    Errors: RuntimeError if shifts and dims differ in number, IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.roll(mg.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    check_tensor("roll", input)
    if dims is None:
        return roll(input.reshape(-1), shifts, 0).reshape(input.shape)
    shifts, dims = as_tuple(shifts), as_tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(f"[roll] found {len(shifts)} shifts for {len(dims)} dims, expected as many")
    return Roll.apply(input, shifts, tuple(check_dim("roll", d, input.ndim) for d in dims))


__all__ = ["cat", "concat", "concatenate", "flip", "roll", "stack"]
