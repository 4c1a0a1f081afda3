"""cumulative: running sums and products along a dimension.

    cumsum     y_i = x_1 + ... + x_i        dx_i = dy_i + dy_i+1 + ...
    cumprod    y_i = x_1 * ... * x_i        dx_i = y_i-1 s_i   where   s_i = dy_i + x_i+1 s_i+1

No division by x, so zeros do no harm. The s of cumprod is a recurrence h_i = a_i h_i-1 + b_i run backwards; so are the
gradients of a recurrence, which makes cumprod differentiable any number of times.

Kernels: csrc/cpu/cumulative.cpp, on (outer, n, inner).
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, empty_like, write
from minigrad.dtypes import as_dtype, float64, int64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.creation import full
from minigrad.ops.inplace import inplace
from minigrad.ops.join import cat, flip
from minigrad.ops.operands import check_tensor
from minigrad.ops.reduce import fold
from minigrad.tensor import check_dim, method


def _wide(x):
    return float64 if is_floating(x.dtype) else x.dtype


@kernel()
def cumsum_forward(y, x):
    y[...] = x.cumsum(1, dtype=_wide(y))


@kernel()
def cumsum_backward(dx, dy):
    dx[:, ::-1] = dy[:, ::-1].cumsum(1, dtype=_wide(dx))


@kernel()
def cumprod_forward(y, x):
    y[...] = x.cumprod(1, dtype=_wide(y))


@kernel()
def cumprod_backward(dx, dy, x, before):
    """before_i = y_i-1, and 1 in front."""
    outer, n, inner = x.shape
    s = array_module(x).zeros((outer, inner), _wide(x))
    for i in range(n - 1, -1, -1):
        s = dy[:, i] + s
        dx[:, i], s = before[:, i] * s, x[:, i] * s


@kernel()
def recurrence_forward(h, a, b):
    for i in range(h.shape[1]):
        h[:, i] = b[:, i] + a[:, i] * h[:, i - 1] if i else b[:, i]


class Cumulative(Op):
    """y = f(x) along one dimension, by a kernel on (outer, n, inner)."""

    def forward(self, *args):
        *xs, self.dim = args
        y = self.run(type(self).kernel, *xs)
        self.keep(y, *xs)
        return y

    def run(self, kernel, *xs):
        y = empty_like(xs[0])
        folds = [fold(x, (self.dim,) if x.ndim else ()) for x in xs]
        kernel(y.reshape(folds[0].shape), *folds)
        return y

    def keep(self, y, *xs):
        """What backward needs; nothing unless a subclass says so."""


class Cumsum(Cumulative):
    kernel = cumsum_forward

    def backward(self, dy):
        return self.run(cumsum_backward, dy)

    def gradient(self, dy):
        return flip(cumsum(flip(dy, self.dim), self.dim), self.dim) if dy.ndim else dy


class Cumprod(Cumulative):
    kernel = cumprod_forward

    def keep(self, y, x):
        self.saved = (x, y)

    def backward(self, dy):
        x, y = self.saved
        if not dy.ndim:
            return dy
        before = empty_like(y)
        write(_delay, before, y, self.dim)
        return self.run(cumprod_backward, dy, x, before)

    def gradient(self, dy):
        if not dy.ndim:
            return dy
        x, y = self.saved
        s = flip(_carried(flip(self.input(0, x), self.dim), flip(dy, self.dim), self.dim), self.dim)
        return _delayed(self.output(y), self.dim, 1) * s


class Recurrence(Cumulative):
    """h_i = a_i h_i-1 + b_i        db = the recurrence of dh backwards, da_i = db_i h_i-1"""

    kernel = recurrence_forward

    def keep(self, h, a, b):
        self.saved = (h, a)

    def gradient(self, dh):
        h, a = self.saved
        db = flip(_carried(flip(self.input(0, a), self.dim), flip(dh, self.dim), self.dim), self.dim)
        return _delayed(self.output(h), self.dim, 0) * db, db


def _delay(out, y, dim):
    out, y = out.swapaxes(dim, 0), y.swapaxes(dim, 0)
    out[:1], out[1:] = 1, y[:-1]


def _delayed(x, dim, first):
    """x moved on by one place along `dim`, with `first` in front."""
    n = x.shape[dim]
    edge = full((*x.shape[:dim], min(n, 1), *x.shape[dim + 1 :]), first, dtype=x.dtype)
    return cat([edge, x[(slice(None),) * dim + (slice(0, max(n - 1, 0)),)]], dim)


def _carried(a, b, dim):
    """h_i = a_i-1 h_i-1 + b_i"""
    return Recurrence.apply(_delayed(a, dim, 0), b, dim)


def _cumulative(op, cls, input, dim, dtype):
    check_tensor(op, input)
    target = as_dtype(dtype) if dtype is not None else input.dtype if is_floating(input.dtype) else int64
    return cls.apply(input if input.dtype is target else input.to(target), check_dim(op, dim, input.ndim))


@method
def cumsum(input, dim, *, dtype=None):
    """y_i = x_1 + ... + x_i along `dim`        dx_i = dy_i + dy_i+1 + ...

    Args:
        input (Tensor): any shape; integers and bools are summed as int64.
        dim (int): along which to sum. dtype (optional): convert to this first.

    Errors: IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.cumsum(mg.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return _cumulative("cumsum", Cumsum, input, dim, dtype)


@method
def cumprod(input, dim, *, dtype=None):
    """y_i = x_1 * ... * x_i along `dim`        dx_i = y_i-1 s_i   where   s_i = dy_i + x_i+1 s_i+1

    Arguments and errors as in `cumsum`.

    >>> import minigrad as mg
    >>> mg.cumprod(mg.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 2., 6.])
    """
    return _cumulative("cumprod", Cumprod, input, dim, dtype)


cumsum_, cumprod_ = inplace(cumsum), inplace(cumprod)
__all__ = ["cumprod", "cumsum"]
