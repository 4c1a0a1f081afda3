"""indexing: y = x[index] and x[index] = v, exactly as numpy reads an index.

Basic indices (ints, slices, None, Ellipsis) give a view; with an array, list or bool among them elements are copied:

    basic      y = x[index]        dx = zeros with dy at index
    advanced   y = x[index]        dx = zeros plus dy at index, so that an element read twice gets both
    writing    x[index] = v        dx = dy with 0 at index, dv = dy[index]

Read in this order: `parse` (what Python hands us, as numpy takes it), the ops, then what users call. Kernel: embedding.
"""

import math
import operator

import numpy as np

from minigrad import mutation
from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty, full, is_array
from minigrad.grad_mode import mode
from minigrad.ops.creation import as_tensor
from minigrad.ops.elementwise import sum_to
from minigrad.ops.embedding import embedding_backward
from minigrad.ops.inplace import check_writable, overwrite
from minigrad.ops.shape import View
from minigrad.tensor import Tensor, method, wrap

# The index ------------------------------------------------------------------------------------------------------------


def parse(op, index):
    """`index` as a tuple for numpy, always with an Ellipsis: so even a single element is read as an array.

    Errors: IndexError for anything but ints, slices, None, Ellipsis, bools and integer or bool arrays.
    """
    if type(index) is not tuple:
        return (Ellipsis,) if index is Ellipsis else (_item(op, index), Ellipsis)
    items = tuple([_item(op, i) for i in index])
    return items if any(i is Ellipsis for i in items) else (*items, Ellipsis)


def _item(op, i):
    if type(i) is int or i is None or i is Ellipsis or type(i) is bool:
        return i
    if type(i) is slice:
        return slice(*[p if p is None else operator.index(p) for p in (i.start, i.stop, i.step)])
    if isinstance(i, (Tensor, np.ndarray, np.generic, list, tuple)):
        return _array(op, i)
    try:
        return operator.index(i)
    except TypeError:
        raise IndexError(
            f"[{op}] an index must be made of ints, slices, None, Ellipsis, bools and integer or bool arrays, "
            f"found {type(i).__name__}"
        ) from None


def _array(op, i):
    array = i.array if isinstance(i, Tensor) else np.asarray(i)
    if not array.size and isinstance(i, (list, tuple)):
        array = array.astype(np.int64)  # numpy takes [] for floats
    if array.dtype.kind not in "biu":
        raise IndexError(f"[{op}] an index array must hold integers or bools, found {array.dtype}")
    return array if array.ndim else array.item()


_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


def is_basic(index):
    return _BASIC.issuperset(map(type, index))


def is_mask(i):
    return is_array(i) and i.dtype.kind == "b"


def _arrays(index):
    return tuple(i for i in index if is_array(i))


def _reach(ndim, index):
    """How many leading dimensions the index reaches into; those behind are taken whole."""
    if index[-1] is not Ellipsis:
        return ndim
    return sum(
        i.ndim if is_array(i) and i.dtype.kind == "b" else i is not None and type(i) is not bool for i in index[:-1]
    )


def _places(shape, index):
    """For each element of x[index] the number of that element of x, as a flat array."""
    places = _coordinate(shape, None)[index]
    for d, n in enumerate(shape):
        places = places * n + _coordinate(shape, d)[index]
    return np.ascontiguousarray(places).reshape(-1)


def _coordinate(shape, dim):
    """For each element of an array its place along `dim` (None: zeros), without memory for all of them."""
    steps = tuple(8 if d == dim else 0 for d in range(len(shape)))
    return np.ndarray(shape, np.int64, np.arange(1 if dim is None else shape[dim]), 0, steps)


def _stays(shape, index):
    """Whether what is written to each place of x[index] stays: of several writes to one element the last does."""
    reach = _reach(len(shape), index)
    last = np.zeros(shape[:reach], np.int64)
    order = np.arange(last[index].size).reshape(last[index].shape)
    last[index] = order
    return (last[index] == order).reshape(*order.shape, *(1,) * (len(shape) - reach))


# Arrays, with errors that say what was found --------------------------------------------------------------------------


def _read(op, x, index):
    try:
        return x[index]
    except IndexError as error:
        raise _explained(op, x, error) from None


def _write(op, x, index, v):
    try:
        x[index] = v
    except IndexError as error:
        raise _explained(op, x, error) from None
    except ValueError:
        raise _misfit(op, v.shape, _read(op, x, index).shape) from None


def _explained(op, x, error):
    found = str(error).strip().replace("axis", "dim")
    return IndexError(f"[{op}] {found}; the indexed tensor has shape {x.shape}")


def _misfit(op, found, expected):
    return RuntimeError(f"[{op}] a value of shape {found} does not fit into x[index] of shape {expected}")


# The ops --------------------------------------------------------------------------------------------------------------


class Slice(View):
    """y = x[index], a view        dx = zeros with dy at index"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        return _read("getitem", x, index)

    def gradient(self, dy):
        return Place.apply(dy, self.shape, self.index)


class Place(Op):
    """y = zeros with x at index        dx = dy[index]"""

    def forward(self, x, shape, index):
        self.index = index
        y = full(shape, 0, x.dtype)
        y[index] = x
        return y

    def gradient(self, dy):
        return Slice.take(dy, self.index)


class Take(Op):
    """y = x[index], a copy        dx = zeros plus dy at index"""

    def forward(self, x, index):
        self.shape, self.index, self.saved = x.shape, index, _arrays(index)
        return _read("getitem", x, index)

    def gradient(self, dy):
        return AddAt.apply(dy, self.shape, self.index)


class AddAt(Op):
    """y = zeros plus x at index        dx = dy[index]"""

    def forward(self, x, shape, index):
        self.index, self.saved = index, _arrays(index)
        reach = _reach(len(shape), index)
        rows, cols = math.prod(shape[:reach]), math.prod(shape[reach:])
        places, y = _places(shape[:reach], index), empty(shape, x.dtype)
        embedding_backward(y.reshape(rows, cols), contiguous(x).reshape(places.size, cols), places)
        return y

    def gradient(self, dy):
        return Take.apply(dy, self.index)


class Put(Op):
    """y = x with v at index, in the memory of x        dx = dy with 0 there, dv = dy[index]

    An element that is written to twice keeps the last: what was written before gets no gradient.
    """

    def forward(self, x, v, index):
        self.shape, self.index, self.saved = v.shape, index, _arrays(index)
        _write("setitem", x, index, contiguous(v))
        return x

    def gradient(self, dy):
        rest = part = None
        if self.needs(0):
            rest = dy.clone()
            setitem(rest, self.index, 0)
        if self.needs(1):
            part = Take.apply(dy, self.index) * wrap(_stays(dy.shape, self.index))
            tail = self.shape[max(0, len(self.shape) - part.ndim) :]
            part = sum_to(part, tail).reshape(self.shape)
        return rest, part


# What users call ------------------------------------------------------------------------------------------------------


def getitem(input, index):
    """y = x[index]: a view for ints, slices, None, Ellipsis; a copy if arrays, lists or bools are there.

    Errors: IndexError for an index out of range, of a wrong type, or too many of them.

    >>> import minigrad as mg
    >>> x = mg.arange(6).reshape(2, 3)
    >>> x[1, ::-1], x[:, [2, 0]], x[x > 3]
    (tensor([5, 4, 3]), tensor([[2, 0],
            [5, 3]]), tensor([4, 5]))
    """
    index = parse("getitem", index)
    return Slice.take(input, index) if is_basic(index) else Take.apply(input, index)


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


def _put(op, input, index, value):
    value = value.to(input.dtype) if isinstance(value, Tensor) else as_tensor(value, dtype=input.dtype)
    check_writable(op, input, input.shape, input.dtype)
    if not (mode.enabled and (input.requires_grad or value.requires_grad)):
        _write(op, input.array, index, value.array)
        mutation.touch(input.array, op)
    elif not is_basic(index):
        overwrite(op, input, Put.apply(input, value, index))
    else:
        part = Slice.take(input, index)
        if not _same_view(part, value):  # as after x[i] += v, which has written to x already
            overwrite(op, part, _fit(op, value, part.shape))


def _same_view(a, b):
    a_array, b_array = a.array, b.array
    same = a.base is b.base and a_array.shape == b_array.shape and a_array.strides == b_array.strides
    return same and a_array.ctypes.data == b_array.ctypes.data


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
    shape = _read("index_put_", np.broadcast_to(False, self.shape), index).shape
    return self.add_(AddAt.apply(_fit("index_put_", values.to(self.dtype), shape), self.shape, index))


@method
def index_put(input, indices, values, accumulate=False):
    """`index_put_` on a copy."""
    return input.clone().index_put_(indices, values, accumulate)


def _delitem(self, index):
    raise TypeError("[delitem] a tensor has a fixed size, its elements cannot be deleted: index what you want to keep")


Tensor.__getitem__, Tensor.__setitem__, Tensor.__delitem__ = getitem, setitem, _delitem
__all__ = ["index_put"]
