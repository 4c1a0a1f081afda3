"""extrema: max, min, argmax, argmin, amax, amin.

y = max x over dim        dx = dy at the place of the maximum, 0 elsewhere

Over one dimension the place is that of the first occurrence (max, min, argmax, argmin); over everything, and in amax
and amin, equal extrema share the gradient evenly. nan wins, as in PyTorch. Kernels: csrc/cpu/reduce.cpp, on (outer, n,
inner).
"""

from typing import NamedTuple

import numpy as np

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import computed, empty_beside
from minigrad.dtypes import int64
from minigrad.kernel import kernel
from minigrad.ops.operands import check_tensor
from minigrad.ops.reduce import as_dims, fold, reduced_shape
from minigrad.tensor import Tensor, check_dim, method, wrap


@kernel(outs=2)
def max_forward(y, index, x):
    index[...] = x.argmax(1)
    y[...] = x.max(1)


@kernel(outs=2)
def min_forward(y, index, x):
    index[...] = x.argmin(1)
    y[...] = x.min(1)


class Extremum(NamedTuple):
    """What max and min over one dimension return."""

    values: Tensor
    indices: Tensor


class _Pick(Op):
    """values, indices of the extrema along one dimension        dx = dy at the indices"""

    def forward(self, x, dim, keepdim):
        self.dim, self.shape, self.keepdim = dim, x.shape, keepdim
        values, index = _run(self.run, x, (dim,) if x.ndim else ())
        shape = reduced_shape(x.shape, (dim,), keepdim)
        index = index.reshape(shape)
        self.saved = (index,)
        return values.reshape(shape), index

    def gradient(self, dy, _):
        (index,) = self.saved
        if not self.shape:
            return dy
        kept = reduced_shape(self.shape, (self.dim,), True)
        along = [-1 if d == self.dim else 1 for d in range(len(self.shape))]
        places = wrap(computed(np.arange, self.shape[self.dim]).reshape(along))
        return ops.where(places == wrap(index).reshape(kept), dy.reshape(kept), 0)


class Max(_Pick):
    run = max_forward


class Min(_Pick):
    run = min_forward


class _Shared(Op):
    """y = the extremum over dims        dx = dy shared evenly among all places that hold it"""

    def forward(self, x, dims, keepdim):
        self.dims, self.kept = dims, reduced_shape(x.shape, dims, True)
        y = _run(self.run, x, dims)[0].reshape(self.kept if keepdim else reduced_shape(x.shape, dims, False))
        self.saved = (x, y)
        return y

    def gradient(self, dy):
        x, y = self.saved
        held = (wrap(x) == wrap(y).reshape(self.kept)).to(x.dtype)
        return dy.reshape(self.kept) * (held / held.sum(self.dims, True))


class Amax(_Shared):
    run = max_forward


class Amin(_Shared):
    run = min_forward


def _run(run, x, dims):
    x3 = fold(x, dims)
    shape = (x3.shape[0], x3.shape[2])
    y, index = empty_beside(x, shape, x.dtype), empty_beside(x, shape, int64)
    run(y, index, x3)
    return y, index


def _check(op, input, dims):
    check_tensor(op, input)
    if any(input.shape[d] == 0 for d in dims) or (not input.numel() and len(dims) == input.ndim):
        raise RuntimeError(f"[{op}] an extremum over no elements is not defined, found shape {input.shape}")


def _extremum(op, pick, shared, elementwise, input, dim, keepdim):
    if dim is None:
        _check(op, input, range(input.ndim))
        return shared.apply(input, as_dims(op, None, input.ndim), False)
    if isinstance(dim, Tensor):
        return elementwise(input, dim)
    check_tensor(op, input)
    dim = check_dim(op, dim, input.ndim)
    _check(op, input, (dim,) if input.ndim else ())
    return Extremum(*pick.apply(input, dim, keepdim))


@method
def max(input, dim=None, keepdim=False):
    """The largest element; along `dim`, the largest and its index; with another tensor, `maximum`.

    Args:
        input (Tensor): any shape.
        dim (int, optional): then the result is a named tuple (values, indices).
        keepdim (bool): keep the reduced dimension with size 1.

    Errors: RuntimeError over no elements, IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> mg.max(x), mg.max(x, 1).indices
    (tensor(7.), tensor([1, 0]))
    """
    return _extremum("max", Max, Amax, ops.maximum, input, dim, keepdim)


@method
def min(input, dim=None, keepdim=False):
    """The smallest element; along `dim`, the smallest and its index; with another tensor, `minimum`. See `max`.

    >>> import minigrad as mg
    >>> mg.min(mg.tensor([[1.0, 5.0], [7.0, 2.0]]), 0).values
    tensor([1., 2.])
    """
    return _extremum("min", Min, Amin, ops.minimum, input, dim, keepdim)


def _arg(op, run, input, dim, keepdim):
    dims = () if dim is None else (check_dim(op, dim, input.ndim),)
    _check(op, input, (dims or range(input.ndim)) if input.ndim else ())
    if dim is None:
        index = _run(run, input.array.reshape(-1), (0,))[1].reshape((1,) * input.ndim if keepdim else ())
        return wrap(index)
    return wrap(
        _run(run, input.array, dims if input.ndim else ())[1].reshape(reduced_shape(input.shape, dims, keepdim))
    )


@method
def argmax(input, dim=None, keepdim=False):
    """The index (int64) of the first largest element: in the flattened tensor, or along `dim`.

    >>> import minigrad as mg
    >>> mg.argmax(mg.tensor([[1.0, 5.0], [7.0, 2.0]]), 1)
    tensor([1, 0])
    """
    check_tensor("argmax", input)
    return _arg("argmax", max_forward, input, dim, keepdim)


@method
def argmin(input, dim=None, keepdim=False):
    """The index (int64) of the first smallest element: in the flattened tensor, or along `dim`.

    >>> import minigrad as mg
    >>> mg.argmin(mg.tensor([[1.0, 5.0], [7.0, 2.0]]))
    tensor(0)
    """
    check_tensor("argmin", input)
    return _arg("argmin", min_forward, input, dim, keepdim)


def _shared(op, cls, input, dim, keepdim):
    check_tensor(op, input)
    dims = as_dims(op, dim, input.ndim)
    _check(op, input, dims)
    return cls.apply(input, dims, keepdim)


@method
def amax(input, dim=(), keepdim=False):
    """The largest element over `dim` (an int or a tuple; all if empty); equal ones share the gradient.

    >>> import minigrad as mg
    >>> mg.amax(mg.tensor([[1.0, 5.0], [7.0, 2.0]]), 0)
    tensor([7., 5.])
    """
    return _shared("amax", Amax, input, dim, keepdim)


@method
def amin(input, dim=(), keepdim=False):
    """The smallest element over `dim` (an int or a tuple; all if empty); equal ones share the gradient.

    >>> import minigrad as mg
    >>> mg.amin(mg.tensor([[1.0, 5.0], [7.0, 2.0]]), 0)
    tensor([1., 2.])
    """
    return _shared("amin", Amin, input, dim, keepdim)


__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]
