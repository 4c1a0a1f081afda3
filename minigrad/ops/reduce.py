"""reduce: sums, means and products over any dimensions. More reductions: extrema.py, variance.py, logsumexp.py.

A reduction sees its input as (outer, n, inner) and folds the middle: `fold` brings any set of dimensions to that form,
without a copy when they are neighbours. Kernels: csrc/cpu/reduce.cpp. Read `Reduction` first, the ops are small.
"""

import math
from functools import lru_cache

import numpy as np

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import float64, int64, is_floating
from minigrad.kernel import KERNELS, kernel
from minigrad.ops.operands import check_tensor
from minigrad.tensor import check_dim, method

# Kernels: x is (outer, n, inner), results are (outer, inner) ---------------------------------------------------------


def _wide(x):
    """The dtype to accumulate in: twice the width for floats."""
    return float64 if is_floating(x.dtype) else x.dtype


@kernel()
def sum_forward(y, x):
    y[...] = x.sum(1, dtype=_wide(y))


@kernel()
def mean_forward(y, x):
    y[...] = x.sum(1, dtype=_wide(y)) / np.float64(x.shape[1])


@kernel()
def prod_forward(y, x):
    y[...] = x.prod(1, dtype=_wide(y))


@kernel()
def prod_backward(dx, dy, x):
    """Every x_i gets dy times the product of those before it and those behind it: right for zeros too."""
    xp = array_module(x)
    one = xp.ones((x.shape[0], 1, x.shape[2]), _wide(x))
    before = xp.concatenate([one, x[:, :-1]], 1).cumprod(1)
    behind = xp.concatenate([one, x[:, :0:-1]], 1).cumprod(1)[:, ::-1]
    dx[...] = before * behind * dy[:, None]


# Any dimensions as (outer, n, inner) ---------------------------------------------------------------------------------


def as_dims(op, dim, ndim):
    """The dimensions to reduce, sorted; all for None. Errors: IndexError out of range, RuntimeError for one twice."""
    if type(dim) is int and -ndim <= dim < ndim:  # the everyday case
        return (dim % ndim,)
    if dim is None or dim == ():
        return tuple(range(ndim))
    dims = sorted(check_dim(op, d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    if len(set(dims)) < len(dims):
        raise RuntimeError(f"[{op}] a dimension appears twice in {dim}")
    return tuple(dims) if ndim else ()


@lru_cache(4096)
def _plan(shape, dims):
    """The order to bring the dimensions into (None: they stay), (outer, n, inner), and the shapes of the result with
    the reduced dimensions and without."""
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
    left = tuple(n for d, n in enumerate(shape) if d not in dims)
    if not dims:
        return None, (math.prod(shape), 1, 1), kept, left
    n = math.prod(shape[d] for d in dims)
    if dims[-1] - dims[0] + 1 == len(dims):
        return None, (math.prod(shape[: dims[0]]), n, math.prod(shape[dims[-1] + 1 :])), kept, left
    return (*(d for d in range(len(shape)) if d not in dims), *dims), (math.prod(left), n, 1), kept, left


def fold(x, dims):
    """`x` as a contiguous (outer, n, inner) array with `dims` (a sorted tuple) in the middle."""
    order, form, _, _ = _plan(x.shape, dims)
    return contiguous(x if order is None else x.transpose(order)).reshape(form)


def reduced_shape(shape, dims, keepdim):
    return _plan(shape, dims)[2 if keepdim else 3]


class Reduction(Op):
    """y = f(x folded over dims). Subclasses name the kernel in `run` and give the gradient."""

    def forward(self, x, dims, keepdim):
        self.shape, self.dims = x.shape, dims
        _, (outer, _, inner), self.kept, left = _plan(x.shape, dims)
        y = empty((outer, inner), self.result(x))
        self.run(y, fold(x, dims))
        y = y.reshape(self.kept if keepdim else left)
        self.keep(x, y)
        return y

    def result(self, x):
        return x.dtype

    def keep(self, x, y):
        """What backward needs; nothing unless a subclass says so."""

    def spread(self, dy):
        """A gradient of the result (or the result itself), as a view of the input's shape."""
        return dy.reshape(self.kept).expand(self.shape)

    def spread_array(self, dy):
        return array_module(dy).broadcast_to(dy.reshape(self.kept), self.shape)

    def count(self):
        return math.prod(self.shape[d] for d in self.dims)


# Sums ----------------------------------------------------------------------------------------------------------------


class Sum(Reduction):
    def run(self, y, x):
        sum_forward(y, x)

    def backward(self, dy):
        return self.spread_array(dy)

    def gradient(self, dy):
        return self.spread(dy)


class Mean(Reduction):
    def run(self, y, x):
        mean_forward(y, x)

    def backward(self, dy):
        share = empty(dy.shape, dy.dtype)
        KERNELS["mul_forward"](share, dy, 1 / max(1, self.count()))
        return self.spread_array(share)

    def gradient(self, dy):
        return self.spread(dy * (1 / max(1, self.count())))


class Prod(Reduction):
    def run(self, y, x):
        prod_forward(y, x)

    def keep(self, x, y):
        self.saved = (x,)

    def backward(self, dy):
        (x,) = self.saved
        order, (outer, n, inner), _, _ = _plan(x.shape, self.dims)
        if order is not None:
            return super().backward(dy)
        dx = empty(x.shape, x.dtype)
        prod_backward(dx.reshape(outer, n, inner), contiguous(dy).reshape(outer, inner), fold(x, self.dims))
        return dx

    def gradient(self, dy):
        """dx_i = dy times the product of all others: of those before and those behind, so that zeros do no harm."""
        x = self.input(0, *self.saved)
        rest = [d for d in range(x.ndim) if d not in self.dims]
        back = [[*rest, *self.dims].index(d) for d in range(x.ndim)]
        moved = x.permute(*rest, *self.dims)
        flat = moved.reshape(*[x.shape[d] for d in rest], self.count())
        one = ops.ones_like(flat[..., :1])
        before = ops.cumprod(ops.cat([one, flat[..., :-1]], -1), -1)
        behind = ops.flip(ops.cumprod(ops.cat([one, ops.flip(flat, -1)[..., :-1]], -1), -1), -1)
        others = (before * behind).reshape(moved.shape).permute(*back)
        return self.spread(dy) * others


def _summed(op, cls, input, dim, keepdim, dtype, floats=False):
    check_tensor(op, input)
    target = dtype or input.array.dtype
    if not is_floating(target):
        if floats:
            raise RuntimeError(f"[{op}] the result must be floating, found dtype {target}: pass dtype=minigrad.float32")
        target = dtype or int64
    input = input if input.array.dtype is target else input.to(target)
    return cls.apply(input, as_dims(op, dim, input.ndim), keepdim)


@method
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """y = sum of x over `dim`        dx = dy spread over it

    Args:
        input (Tensor): any shape; integers and bools are summed as int64.
        dim (int or tuple, optional): what to sum over; everything if None.
        keepdim (bool): keep reduced dimensions with size 1.
        dtype: convert to this first.

    Errors: IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.sum(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([4., 6.])
    """
    return _summed("sum", Sum, input, dim, keepdim, dtype)


@method
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """y = sum of x over `dim` / n        dx = dy / n spread over it

    Arguments as in `sum`. Errors: RuntimeError for integers without `dtype`, IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.mean(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([1.5000, 3.5000])
    """
    return _summed("mean", Mean, input, dim, keepdim, dtype, floats=True)


@method
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """y = product of x over `dim`        dx_i = dy times the product of the others (right also with zeros)

    >>> import minigrad as mg
    >>> mg.prod(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([ 2., 12.])
    """
    return _summed("prod", Prod, input, dim, keepdim, dtype)


@method
def sum_to_size(input, *size):
    """Sum over the dimensions along which `size` would be broadcast to the shape of `input`.

    >>> import minigrad as mg
    >>> mg.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    extra = input.ndim - len(size)
    if extra < 0 or any(n not in (1, m) for n, m in zip(size, input.shape[extra:], strict=True)):
        raise RuntimeError(f"[sum_to_size] size {size} does not broadcast to shape {input.shape}")
    dims = tuple(d for d, n in enumerate(input.shape) if d < extra or (size[d - extra] == 1 and n != 1))
    out = Sum.apply(input, dims, True) if dims else input
    return out.reshape(size) if extra else out


__all__ = ["mean", "prod", "sum", "sum_to_size"]
