"""sort: the elements along a dimension in order, and the places they came from.

    sort       y = x in order        dx = dy back at the places the elements came from
    topk       the k largest, or smallest, in order; kthvalue the k-th smallest

Equal elements stay in their order, NaN counts as larger than any number. Kernels on (rows, n).
"""

from typing import NamedTuple

import minigrad.ops as ops
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty
from minigrad.dtypes import int64
from minigrad.kernel import kernel
from minigrad.ops.operands import check_tensor
from minigrad.tensor import Tensor, check_dim, method, wrap

# Kernels: x (rows, n), y and index (rows, k) --------------------------------------------------------------------------


def _order(x, descending):
    """The places of the elements of each row in order; from behind, so that equals stay in order, for descending."""
    if not descending:
        return x.argsort(1, kind="stable")
    return x.shape[1] - 1 - x[:, ::-1].argsort(1, kind="stable")[:, ::-1]


@kernel(outs=2)
def sort_forward(y, index, x, descending):
    index[...] = _order(x, descending)
    y[...] = array_module(x).take_along_axis(x, index, 1)


@kernel(outs=2)
def topk_forward(y, index, x, largest):
    """k is the number of columns of y."""
    index[...] = _order(x, largest)[:, : y.shape[1]]
    y[...] = array_module(x).take_along_axis(x, index, 1)


class Sorted(NamedTuple):
    """What sort, topk and kthvalue return."""

    values: Tensor
    indices: Tensor


class Sort(Op):
    """The first k along `dim`, by a kernel that takes `flag`, and their places        dx = dy at the places"""

    def forward(self, x, dim, k, flag, run):
        xp, self.shape, self.dim = array_module(x), x.shape, dim
        last = xp.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)
        rows = contiguous(last).reshape(-1 if last.size else 0, last.shape[-1])
        y, index = empty((len(rows), k), x.dtype), empty((len(rows), k), int64)
        run(y, index, rows, flag)
        self.saved = (self.unfolded(index, last.shape[:-1]),)
        return self.unfolded(y, last.shape[:-1]), self.saved[0]

    def unfolded(self, rows, shape):
        if not self.shape:
            return rows.reshape(())
        return contiguous(array_module(rows).moveaxis(rows.reshape(*shape, rows.shape[1]), -1, self.dim))

    def gradient(self, dy, _):
        return ops.zeros(self.shape, dtype=dy.dtype, device=dy.device).scatter(self.dim, wrap(*self.saved), dy)


def _sorted(op, input, dim, k, flag, run):
    check_tensor(op, input)
    dim = check_dim(op, dim, input.ndim)
    n = input.shape[dim] if input.ndim else 1
    return Sorted(*Sort.apply(input, dim, n if k is None else k, bool(flag), run))


@method
def sort(input, dim=-1, descending=False, stable=False):
    """y = x in order along `dim`        dx = dy back at the places the elements came from

    Args:
        input (Tensor): any shape and dtype.
        dim (int): along which to sort.
        descending (bool): the largest first. NaN counts as larger than any number.
        stable (bool): equal elements always stay in their order, whatever this says.

    Returns: a named tuple (values, indices).
    Errors: IndexError for a dim out of range.
    Source: Batcher, "Sorting networks and their applications", 1968; Knuth, The Art of Computer Programming 3, 5.2.5.

    >>> import minigrad as mg
    >>> mg.sort(mg.tensor([3.0, 1.0, 2.0])).values, mg.sort(mg.tensor([3.0, 1.0, 2.0]), descending=True).indices
    (tensor([1., 2., 3.]), tensor([0, 2, 1]))
    """
    return _sorted("sort", input, dim, None, descending, sort_forward)


@method
def argsort(input, dim=-1, descending=False, stable=False):
    """The places (int64) of the elements of x in order along `dim`: the indices of `sort`.

    >>> import minigrad as mg
    >>> mg.argsort(mg.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return _sorted("argsort", input.detach() if isinstance(input, Tensor) else input, dim, None, descending,
                   sort_forward).indices  # fmt: skip


def _check_k(op, input, k, dim, least):
    check_tensor(op, input)
    n = input.shape[check_dim(op, dim, input.ndim)] if input.ndim else 1
    if not least <= k <= n:
        raise RuntimeError(f"[{op}] k is {k}, expected {least} to {n}, the size along dim {dim}")


@method
def topk(input, k, dim=-1, largest=True, sorted=True):
    """The k largest elements along `dim`, the largest first, or the smallest        dx = dy where they stood

    Args:
        k (int): how many. dim (int): along which to look.
        largest (bool): False for the smallest. NaN counts as larger than any number.
        sorted (bool): they always are in order; of equals those that come first are taken.

    Returns: a named tuple (values, indices).
    Errors: IndexError for a dim out of range, RuntimeError for more than there are.

    >>> import minigrad as mg
    >>> mg.topk(mg.tensor([3.0, 1.0, 2.0]), 2).indices
    tensor([0, 2])
    """
    _check_k("topk", input, k, dim, 0)
    return _sorted("topk", input, dim, k, largest, topk_forward)


@method
def kthvalue(input, k, dim=-1, keepdim=False):
    """The k-th smallest element along `dim`, and its place        dx = dy where it stood

    Args:
        k (int): 1 for the smallest. keepdim (bool): keep the dimension with size 1.

    Returns: a named tuple (values, indices).
    Errors: IndexError for a dim out of range, RuntimeError for a k that is not there.

    >>> import minigrad as mg
    >>> mg.kthvalue(mg.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    _check_k("kthvalue", input, k, dim, 1)
    found = _sorted("kthvalue", input, dim, k, False, topk_forward)
    if not input.ndim:
        return found
    last = [x.narrow(dim, k - 1, 1) for x in found]
    return Sorted(*last) if keepdim else Sorted(*[x.squeeze(dim) for x in last])


__all__ = ["argsort", "kthvalue", "sort", "topk"]
