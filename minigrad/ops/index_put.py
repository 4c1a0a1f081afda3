"""index_put: x[index] = v, exactly as numpy reads an index        dx = dy with 0 at index, dv = dy[index]

The index is `indexing.py`'s; what was written is told to the graph by `inplace.py`; read `_put` first. An element that
is written to twice keeps the last value, and that alone has a gradient. Adding (`accumulate`) takes both.
"""

import numpy as np

from minigrad import mutation
from minigrad.autograd import Op
from minigrad.backend import devices
from minigrad.backend.array import contiguous
from minigrad.backend.devices import address
from minigrad.dtypes import bool_
from minigrad.grad_mode import mode
from minigrad.kernel import kernel
from minigrad.ops.creation import as_tensor
from minigrad.ops.indexing import (
    AddAt,
    Slice,
    Take,
    arrays_in,
    explained,
    index_on_host,
    is_basic,
    parse,
    reach_of,
    read,
)
from minigrad.ops.inplace import check_writable, overwrite
from minigrad.ops.operands import sum_to
from minigrad.tensor import Tensor, method, wrap


class Put(Op):
    """y = x with v at index, in the memory of x        dx = dy with 0 there, dv = dy[index]

    An element that is written to twice keeps the last: what was written before gets no gradient.
    """

    def forward(self, x, v, index, op):
        self.shape, self.index, self.saved = v.shape, index, arrays_in(index)
        _write(op, x, index, contiguous(v))
        return x

    def gradient(self, dy):
        rest = part = None
        if self.needs(0):
            rest = dy.clone()
            setitem(rest, self.index, 0)
        if self.needs(1):
            part = Take.apply(dy, self.index)
            if not all(a.dtype is bool_ for a in self.saved):  # masks name each element once
                part = part * wrap(_stays(dy.shape, self.index)).to(device=part.device)
            tail = self.shape[max(0, len(self.shape) - part.ndim) :]
            part = sum_to(part, tail).reshape(self.shape)
        return rest, part


def _stays(shape, index):
    """Whether what is written to each place of x[index] stays: of several writes to one element the last does."""
    reach, index = reach_of(len(shape), index), index_on_host(index)
    last = np.zeros(shape[:reach], np.int64)
    order = np.arange(last[index].size).reshape(last[index].shape)
    last[index] = order
    return (last[index] == order).reshape(*order.shape, *(1,) * (len(shape) - reach))


@kernel()
def put_forward(x, v, index):
    """x in any layout; v is broadcast to x[index], whose elements may coincide: the last one stays"""
    x[index] = v


def _write(op, x, index, v):
    try:
        put_forward(x, v, index)
    except IndexError as error:
        raise explained(op, x, error) from None
    except ValueError:
        raise _misfit(op, v.shape, read(op, x, index).shape) from None


def _misfit(op, found, expected):
    return RuntimeError(f"[{op}] a value of shape {found} does not fit into x[index] of shape {expected}")


# What users call -----------------------------------------------------------------------------------------------------


def setitem(input, index, value):
    """x[index] = v, in place; gradients flow to both. Where an element is written to twice, the last value stays.

    Args:
        value (Tensor, array, lists or a number): is broadcast and converted.

    Errors: IndexError as in reading; RuntimeError if the value does not fit, or if `input` is a leaf with a gradient.

    >>> import minigrad as mg
    >>> x = mg.zeros(2, 3)
    >>> x[:, 1:], x[x == 0] = mg.tensor([1, 2]), -1
    >>> x
    tensor([[-1.,  1.,  2.],
            [-1.,  1.,  2.]])
    """
    _put("setitem", input, parse("setitem", index), value)


def _at_once(op, function, args):
    function(*args)


def _made_beside(input, value):
    with devices.on(input.device):
        return as_tensor(value, dtype=input.dtype)


def _put(op, input, index, value):
    value = value.to(input.dtype) if isinstance(value, Tensor) else _made_beside(input, value)
    check_writable(op, input, input.shape, input.dtype)
    if not (mode.enabled and (input.requires_grad or value.requires_grad)):
        run = devices.run if devices.in_use else _at_once
        run(op, _write, (op, input.array, index, value.array))
        mutation.touch(input.array, op)
    elif not is_basic(index):
        overwrite(op, input, Put.apply(input, value, index, op))
    else:
        read(op, input.array, index)
        part = Slice.take(input, index)
        if not _same_view(part, value):  # as after x[i] += v, which has written to x already
            overwrite(op, part, _fit(op, value, part.shape))


def _same_view(a, b):
    a_array, b_array = a.array, b.array
    same = a.base is b.base and a_array.shape == b_array.shape and a_array.strides == b_array.strides
    return same and address(a_array) == address(b_array)


def _fit(op, value, shape):
    """`value` broadcast to `shape`, where leading dimensions of size 1 are free."""
    extra = value.ndim - len(shape)
    if extra > 0 and value.shape[:extra] == (1,) * extra:
        value = value.reshape(value.shape[extra:])
    try:
        return value.expand(shape)
    except RuntimeError:
        raise _misfit(op, value.shape, shape) from None


@method
def index_put_(self, indices, values, accumulate=False):
    """x[indices] = values, or += with `accumulate`, which adds twice where an element is named twice.

    Args:
        indices (tuple): one integer or bool Tensor per dimension, None for a whole one.
        values (Tensor): broadcast to the shape of what they are written to.

    Errors: IndexError for an index out of range, RuntimeError if the values do not fit.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_put_((mg.tensor([1, 1]),), mg.tensor([1.0, 2.0]), accumulate=True)
    tensor([0., 3., 0.])
    """
    index = parse("index_put_", tuple(slice(None) if i is None else i for i in indices))
    if not accumulate:
        _put("index_put_", self, index, values)
        return self
    shape = read("index_put_", np.broadcast_to(False, self.shape), index_on_host(index)).shape
    return self.add_(AddAt.apply(_fit("index_put_", values.to(self.dtype), shape), self.shape, index))


@method
def index_put(input, indices, values, accumulate=False):
    """`index_put_` on a copy."""
    return input.clone().index_put_(indices, values, accumulate)


def _delitem(self, index):
    raise TypeError("[delitem] a tensor has a fixed size, its elements cannot be deleted: index what you want to keep")


Tensor.__setitem__, Tensor.__delitem__ = setitem, _delitem
__all__ = ["index_put"]
