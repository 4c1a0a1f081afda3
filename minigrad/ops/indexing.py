"""indexing: y = x[index], exactly as numpy reads an index (writing: `index_put.py`).

Basic indices (ints, slices, None, Ellipsis) give a view; with an array, list or bool among them elements are copied:

    basic      y = x[index]        dx = zeros with dy at index
    advanced   y = x[index]        dx = zeros plus dy at index, so that an element read twice gets both

Read in this order: `parse` (what Python hands us, as numpy takes it), the ops, then what users call. Kernels: that of
`Take`, and embedding's.
"""

import math
import operator

import numpy as np

from minigrad.autograd import Op
from minigrad.backend import devices
from minigrad.backend.array import assign, computed, contiguous, empty, full, is_array
from minigrad.backend.places import places
from minigrad.kernel import kernel
from minigrad.ops.embedding import embedding_backward
from minigrad.ops.view import View
from minigrad.tensor import Tensor

# The index -----------------------------------------------------------------------------------------------------------


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
    if is_array(i) or isinstance(i, (Tensor, np.generic, list, tuple)):
        return _array(op, i)
    try:
        return operator.index(i)
    except TypeError:
        raise IndexError(
            f"[{op}] an index must be made of ints, slices, None, Ellipsis, bools and integer or bool arrays, "
            f"found {type(i).__name__}"
        ) from None


def _array(op, i):
    array = i.array if isinstance(i, Tensor) else i if is_array(i) else np.asarray(i)
    if not array.size and isinstance(i, (list, tuple)):
        array = array.astype(np.int64)  # numpy takes [] for floats
    if array.dtype.kind not in "biu":
        raise IndexError(f"[{op}] an index array must hold integers or bools, found {array.dtype}")
    return array if array.ndim else array.item()


_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


def is_basic(index):
    return _BASIC.issuperset(map(type, index))


def arrays_in(index):
    return tuple(i for i in index if is_array(i))


def index_on_host(index):
    """The index with copies of its arrays where numpy reads them."""
    return tuple(devices.move(i, devices.CPU) if is_array(i) else i for i in index)


def reach_of(ndim, index):
    """How many leading dimensions the index reaches into; those behind are taken whole."""
    if index[-1] is not Ellipsis:
        return ndim
    return sum(
        i.ndim if is_array(i) and i.dtype.kind == "b" else i is not None and type(i) is not bool for i in index[:-1]
    )


def shape_of(shape, index):
    """The shape of x[index] for x of `shape`. Errors: IndexError."""
    first = index[0]
    if len(index) == 2 and index[1] is Ellipsis and is_array(first) and first.dtype.kind != "b":
        return (*first.shape, *shape[1:])
    reach = reach_of(len(shape), index)
    return *np.broadcast_to(False, shape[:reach])[tuple(map(_seen, index))].shape, *shape[reach:]


def _seen(i):
    """What of an item of an index says something of the shape: the values of masks alone."""
    return i if not is_array(i) else devices.move(i, devices.CPU) if i.dtype.kind == "b" else np.zeros(i.shape, "i8")


# Errors that say what was found --------------------------------------------------------------------------------------


def read(op, x, index):
    try:
        return x[index]
    except IndexError as error:
        raise explained(op, x, error) from None


def explained(op, x, error):
    found = str(error).strip().replace("axis", "dim")
    return IndexError(f"[{op}] {found}; the indexed tensor has shape {x.shape}")


# The ops -------------------------------------------------------------------------------------------------------------


@kernel()
def take_forward(y, x, index):
    """y in C order, x in any; `index` as numpy takes it"""
    y[...] = x[index]


def _taken(op, x, index):
    try:
        y = empty(shape_of(x.shape, index), x.dtype)
        take_forward(y, x, index)
    except IndexError as error:
        raise explained(op, x, error) from None
    return y


class Slice(View):
    """y = x[index], a view        dx = zeros with dy at index"""

    def forward(self, x, index):
        self.shape, self.index = x.shape, index
        return read("getitem", x, index)

    def gradient(self, dy):
        return Place.apply(dy, self.shape, self.index)


class Place(Op):
    """y = zeros with x at index        dx = dy[index]"""

    def forward(self, x, shape, index):
        self.index = index
        y = full(shape, 0, x.dtype)
        assign(y[index if Ellipsis in index else (*index, Ellipsis)], x)
        return y

    def gradient(self, dy):
        return Slice.take(dy, self.index)


class Take(Op):
    """y = x[index], a copy        dx = zeros plus dy at index"""

    def forward(self, x, index):
        self.shape, self.index, self.saved = x.shape, index, arrays_in(index)
        return computed(read, "getitem", x, index, elsewhere=_taken)

    def gradient(self, dy):
        return AddAt.apply(dy, self.shape, self.index)


class AddAt(Op):
    """y = zeros plus x at index        dx = dy[index]"""

    def forward(self, x, shape, index):
        self.index, self.saved = index, arrays_in(index)
        reach = reach_of(len(shape), index)
        rows, cols = math.prod(shape[:reach]), math.prod(shape[reach:])
        found, y = computed(places, x, shape[:reach], index), empty(shape, x.dtype)
        embedding_backward(y.reshape(rows, cols), contiguous(x).reshape(found.size, cols), found)
        return y

    def gradient(self, dy):
        return Take.apply(dy, self.index)


# What users call -----------------------------------------------------------------------------------------------------


def getitem(input, index):
    """y = x[index]: a view for ints, slices, None, Ellipsis; a copy if arrays, lists or bools are there.

    Errors: IndexError for an index out of range (on a GPU, where to look would be to wait, entries of an array count
    modulo the size), of a wrong type, or too many of them.

    >>> import minigrad as mg
    >>> x = mg.arange(6).reshape(2, 3)
    >>> x[1, ::-1], x[:, [2, 0]], x[x > 3]
    (tensor([5, 4, 3]), tensor([[2, 0],
            [5, 3]]), tensor([4, 5]))
    """
    index = parse("getitem", index)
    return Slice.take(input, index) if is_basic(index) else Take.apply(input, index)


Tensor.__getitem__ = getitem
