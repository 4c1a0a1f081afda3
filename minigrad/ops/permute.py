"""permute: the dimensions in another order, as a view        dx = dy in the old order"""

from minigrad.ops.operands import as_sizes, check_tensor
from minigrad.ops.view import View
from minigrad.tensor import check_dim, method


class Permute(View):
    """y's dimension i is x's dimension dims[i]        dx = dy permuted back"""

    def forward(self, x, dims):
        self.dims = dims
        return x.transpose(dims)

    def gradient(self, dy):
        return permute(dy, *[self.dims.index(i) for i in range(len(self.dims))])


@method
def permute(input, *dims):
    """Reorder the dimensions, as a view. Errors: RuntimeError unless `dims` names each dimension once.

    >>> import minigrad as mg
    >>> mg.permute(mg.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    check_tensor("permute", input)
    order = tuple(check_dim("permute", d, input.ndim) for d in as_sizes(dims))
    if sorted(order) != list(range(input.ndim)):
        raise RuntimeError(f"[permute] dims {as_sizes(dims)} must name each of the {input.ndim} dimensions once")
    return Permute.take(input, order)


@method
def transpose(input, dim0, dim1):
    """Swap two dimensions, as a view.

    >>> import minigrad as mg
    >>> mg.transpose(mg.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([[1, 3],
            [2, 4]])
    """
    check_tensor("transpose", input)
    a, b = check_dim("transpose", dim0, input.ndim), check_dim("transpose", dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return Permute.take(input, tuple(order))


@method
def t(input):
    """The transpose of a matrix (a vector stays as it is). Errors: RuntimeError above 2 dimensions."""
    if input.ndim > 2:
        raise RuntimeError(f"[t] expected at most 2 dimensions, found shape {input.shape}")
    return permute(input, *reversed(range(input.ndim)))


@method
def movedim(input, source, destination):
    """Move one dimension to another place, as a view."""
    a, b = check_dim("movedim", source, input.ndim), check_dim("movedim", destination, input.ndim)
    order = [d for d in range(input.ndim) if d != a]
    order.insert(b, a)
    return permute(input, *order)


__all__ = ["movedim", "permute", "t", "transpose"]
