"""part: pieces of a tensor, as views: select, narrow, split, chunk, unbind.

Each y_i is a part of x        dx = the dy_i joined again, zeros for parts that were not used

One piece is an index (`indexing.py`); several are one op, `Parts`, so that backward joins them in a single pass.
"""

from functools import partial

from minigrad.ops.creation import zeros
from minigrad.ops.indexing import Slice
from minigrad.ops.join import cat, stack
from minigrad.ops.operands import check_tensor
from minigrad.ops.view import View, link
from minigrad.tensor import check_dim, method


class Parts(View):
    """y_i = x[index_i], which `join` puts together to x        dx = the dy_i joined"""

    @classmethod
    def take(cls, x, indices, join):
        parts = cls.apply(x, indices, join)
        for part, index in zip(parts, indices, strict=True):
            link(part, x, lambda source, index=index: Slice.take(source, index))
        return parts

    def forward(self, x, indices, join):
        parts = tuple(x[index] for index in indices)
        self.join, self.shapes, self.dtype = join, [part.shape for part in parts], x.dtype
        return parts

    def gradient(self, *dys):
        given = zip(dys, self.shapes, strict=True)
        return self.join([zeros(shape, dtype=self.dtype) if dy is None else dy for dy, shape in given])


def _at(dim, place):
    return (*(slice(None),) * dim, place, Ellipsis)


@method
def select(input, dim, index):
    """y = x at one place along `dim`, as a view without that dimension.

    Errors: IndexError for a dim or an index out of range.

    >>> import minigrad as mg
    >>> mg.select(mg.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    check_tensor("select", input)
    dim = _dim("select", input, dim)
    n = input.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"[select] index {index} out of range for dim {dim} of size {n}")
    return Slice.take(input, _at(dim, int(index)))


@method
def narrow(input, dim, start, length):
    """y = x from `start` on, `length` places along `dim`, as a view; a negative start counts from the end.

    Errors: IndexError for a dim or a start out of range, RuntimeError for a length that does not fit.

    >>> import minigrad as mg
    >>> mg.narrow(mg.tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    check_tensor("narrow", input)
    dim = _dim("narrow", input, dim)
    n = input.shape[dim]
    if not -n <= start <= n:
        raise IndexError(f"[narrow] start {start} out of range for dim {dim} of size {n}")
    first = int(start) + (n if start < 0 else 0)
    if not 0 <= length <= n - first:
        raise RuntimeError(f"[narrow] start {start} and length {length} do not fit dim {dim} of size {n}")
    return Slice.take(input, _at(dim, slice(first, first + int(length))))


@method
def split(tensor, split_size_or_sections, dim=0):
    """Neighbouring parts along `dim`, as views: all of one size (the last may be smaller), or of the sizes in a list.

    Errors: IndexError for a dim out of range, RuntimeError for sizes that are negative or do not add up.

    >>> import minigrad as mg
    >>> mg.split(mg.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    check_tensor("split", tensor, "the first argument")
    dim = _dim("split", tensor, dim)
    n = tensor.shape[dim]
    if isinstance(split_size_or_sections, (list, tuple)):
        sizes = [int(size) for size in split_size_or_sections]
    else:
        sizes = _equal_sizes(n, int(split_size_or_sections))
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise RuntimeError(f"[split] sizes {sizes} do not add up to {n}, the size of dim {dim}")
    stops = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    indices = [_at(dim, slice(stop - size, stop)) for stop, size in zip(stops, sizes, strict=True)]
    return Parts.take(tensor, indices, partial(cat, dim=dim))


def _equal_sizes(n, size):
    if size < 0 or (size == 0 and n):
        raise RuntimeError(f"[split] a part of size {size} is not possible, expected at least 1")
    return [size] * (n // size) + [n % size] * bool(n % size) if n else [0]


@method
def chunk(input, chunks, dim=0):
    """At most `chunks` neighbouring parts of equal size along `dim` (the last may be smaller), as views.

    Errors: IndexError for a dim out of range, RuntimeError for less than one chunk.

    >>> import minigrad as mg
    >>> mg.chunk(mg.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    check_tensor("chunk", input)
    if chunks < 1:
        raise RuntimeError(f"[chunk] found {chunks} chunks, expected at least 1")
    n = input.shape[_dim("chunk", input, dim)]
    return split(input, -(-n // chunks) if n else [0] * chunks, dim)


@method
def unbind(input, dim=0):
    """All places along `dim`, as views without that dimension.

    Errors: IndexError for a dim out of range.

    >>> import minigrad as mg
    >>> mg.unbind(mg.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    check_tensor("unbind", input)
    dim = _dim("unbind", input, dim)
    return Parts.take(input, [_at(dim, i) for i in range(input.shape[dim])], partial(stack, dim=dim))


def _dim(op, x, dim):
    """`check_dim`, for ops that need a dimension to take apart."""
    if x.ndim == 0:
        raise IndexError(f"[{op}] a 0-dim tensor has no parts, expected at least 1 dimension")
    return check_dim(op, dim, x.ndim)


__all__ = ["chunk", "narrow", "select", "split", "unbind"]
