"""indexing: y = x[index] and x[index] = v, exactly as numpy reads an index.

Basic indices (ints, slices, None, Ellipsis) give a view; with an array, list or bool among them elements are copied:

    basic      y = x[index]        dx = zeros with dy at index
    advanced   y = x[index]        dx = zeros plus dy at index, so that an element read twice gets both

Read in this order: `parse` (what Python hands us, as numpy takes it), the ops, then what users call. Kernel: embedding.
"""

import operator

import numpy as np

from minigrad.autograd import Op
from minigrad.backend.array import full, is_array
from minigrad.ops.shape import View
from minigrad.tensor import Tensor


def parse(op, index):
    """`index` as a tuple for numpy, always with an Ellipsis: so even a single element is read as an array.

    Errors: IndexError for anything but ints, slices, None, Ellipsis, bools and integer or bool arrays.
    """
    items = [_item(op, i) for i in (index if type(index) is tuple else (index,))]
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    return tuple(items)


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
    if not array.size and not isinstance(i, (Tensor, np.ndarray)):
        array = array.astype(np.int64)  # numpy takes [] for floats
    if array.dtype.kind not in "biu":
        raise IndexError(f"[{op}] an index array must hold integers or bools, found {array.dtype}")
    return array if array.ndim else array.item()


def is_basic(index):
    return not any(is_array(i) or type(i) is bool for i in index)


def _at(op, x, index):
    """x[index] of raw arrays. Errors: IndexError naming index, dim and size."""
    try:
        return x[index]
    except IndexError as error:
        raise IndexError(f"[{op}] {str(error).replace('axis', 'dim')}, for shape {x.shape}") from None


# The ops ---------------------------------------------------------------------------------------------------------------


class Slice(View):
    """y = x[index], a view        dx = zeros with dy at index"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        return _at("getitem", x, index)

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
        return dy[self.index]


class Take(Op):
    """y = x[index], a copy        dx = zeros plus dy at index"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        self.saved = tuple(i for i in index if is_array(i))
        return _at("getitem", x, index)

    def gradient(self, dy):
        return AddAt.apply(dy, self.shape, self.index)


class AddAt(Op):
    """y = zeros plus x at index        dx = dy[index]"""

    def forward(self, x, shape, index):
        self.index = index
        y = full(shape, 0, x.dtype)
        np.add.at(y, index, x)
        return y

    def gradient(self, dy):
        return dy[self.index]


# What users call -------------------------------------------------------------------------------------------------------


def getitem(input, index):
    """y = x[index]: a view for ints, slices, None and Ellipsis, a copy with arrays, lists or bools among them.

    Errors: IndexError for an index out of range, of a wrong type, or too many of them.

    >>> import minigrad as mg
    >>> x = mg.arange(6).reshape(2, 3)
    >>> x[1, ::-1], x[:, [2, 0]], x[x > 3]
    (tensor([5, 4, 3]), tensor([[2, 0],
            [5, 3]]), tensor([4, 5]))
    """
    index = parse("getitem", index)
    return Slice.take(input, index) if is_basic(index) else Take.apply(input, index)


Tensor.__getitem__ = getitem
