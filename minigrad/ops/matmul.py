"""matmul: y = a b        da = dy b^T, db = a^T dy

Kernels: csrc/cpu/matmul.cpp. A transposed operand is passed as it lies in memory, with a flag: no copy.
"""

import math

import numpy as np

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty
from minigrad.backend.devices import is_contiguous
from minigrad.kernel import kernel
from minigrad.ops.operands import broadcast_sizes, check_tensor, sum_to
from minigrad.tensor import method


@kernel()
def matmul_forward(y, a, b, transpose_a, transpose_b):
    """y (B, m, n) = a b with a (B or 1, m, k), b (B or 1, k, n), each with its last two swapped if flagged; or all
    three without the B."""
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    y[...] = a @ b


# Batched products ----------------------------------------------------------------------------------------------------


def _as_stored(x):
    """(array in C order, whether its last two dimensions are swapped)."""
    if not is_contiguous(x) and is_contiguous(x.swapaxes(-1, -2)):
        return x.swapaxes(-1, -2), True
    return contiguous(x), False


def product(a, b):
    """a b for arrays of 2 or more dimensions, batches broadcast."""
    (a, ta), (b, tb) = _as_stored(a), _as_stored(b)
    m, n = a.shape[-1 if ta else -2], b.shape[-2 if tb else -1]
    if b.ndim == 2 and not ta and a.ndim > 2:  # one matrix for all: the batch is more rows
        y = empty((1, a.size // max(1, a.shape[-1]) if a.size else math.prod(a.shape[:-1]), n), a.dtype)
        matmul_forward(y, a.reshape(1, y.shape[1], a.shape[-1]), b[None], False, tb)
        return y.reshape(*a.shape[:-1], n)
    batch = a.shape[:-2]
    if a.shape[:-2] != b.shape[:-2]:
        batch, a, b = _broadcast_batches(a, b)
    y = empty((math.prod(batch), m, n), a.dtype)
    matmul_forward(y, _stack(a), _stack(b), ta, tb)
    return y.reshape(*batch, m, n)


def _stack(x):
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def _broadcast_batches(a, b):
    """A batch of one matrix is left to the kernel; any other mix is copied to the full batch."""
    batch = broadcast_sizes("matmul", a.shape[:-2], b.shape[:-2])
    full = [x if math.prod(x.shape[:-2]) == 1 else contiguous(np.broadcast_to(x, batch + x.shape[-2:])) for x in (a, b)]
    return batch, *full


class Matmul(Op):
    def forward(self, a, b):
        self.saved, self.shapes = (a if self.needs(1) else None, b if self.needs(0) else None), (a.shape, b.shape)
        return product(a, b)

    def gradient(self, dy):
        (a, b), (a_shape, b_shape), da = self.saved, self.shapes, None
        if self.needs(0):
            da = sum_to(matmul(dy, self.input(1, b).transpose(-1, -2)), a_shape)
        if not self.needs(1):
            return da, None
        a = self.input(0, a)
        if len(b_shape) == 2 and a.ndim > 2:  # the batch is more rows here too: one product, no sum over the batch
            rows = math.prod(a_shape[:-1])
            a, dy = a.reshape(rows, a_shape[-1]), dy.reshape(rows, dy.shape[-1])
        return da, sum_to(matmul(a.transpose(-1, -2), dy), b_shape)


@method
def matmul(input, other):
    """y = a b, the matrix product        da = dy b^T, db = a^T dy

    Args:
        input, other (Tensor): (..., m, k) and (..., k, n); a vector counts as a row on the left, as a column on the
            right, and its dimension is dropped from the result; batch dimensions are broadcast.

    Errors: RuntimeError if the inner sizes differ or an operand has no dimensions.

    >>> import minigrad as mg
    >>> mg.matmul(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    check_tensor("matmul", input)
    check_tensor("matmul", other, "other")
    _check_inner("matmul", input, other)
    a = input.unsqueeze(0) if input.ndim == 1 else input
    b = other.unsqueeze(1) if other.ndim == 1 else other
    y = Matmul.apply(a, b)
    y = y.squeeze(-2) if input.ndim == 1 else y
    return y.squeeze(-1) if other.ndim == 1 else y


def _check_inner(op, a, b):
    if not a.ndim or not b.ndim:
        raise RuntimeError(f"[{op}] operands need at least one dimension, found shapes {a.shape} and {b.shape}")
    if a.dtype != b.dtype:
        raise RuntimeError(f"[{op}] both operands must have one dtype, found {a.dtype} and {b.dtype}")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise RuntimeError(f"[{op}] shapes {a.shape} and {b.shape} cannot be multiplied: the inner sizes differ")


def _check_ndim(op, ndim, *operands):
    for x in operands:
        check_tensor(op, x)
        if x.ndim != ndim:
            raise RuntimeError(f"[{op}] expected {ndim} dimensions, found shape {x.shape}")


@method
def mm(input, mat2):
    """`matmul` of two matrices. Errors: RuntimeError for other than 2 dimensions.

    >>> import minigrad as mg
    >>> mg.mm(mg.eye(2), mg.ones(2, 2))
    tensor([[1., 1.],
            [1., 1.]])
    """
    _check_ndim("mm", 2, input, mat2)
    _check_inner("mm", input, mat2)
    return Matmul.apply(input, mat2)


@method
def bmm(input, mat2):
    """`matmul` of two equal batches of matrices. Errors: RuntimeError for other than 3 dimensions or unequal batches.

    >>> import minigrad as mg
    >>> mg.bmm(mg.ones(2, 1, 3), mg.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    _check_ndim("bmm", 3, input, mat2)
    _check_inner("bmm", input, mat2)
    if input.shape[0] != mat2.shape[0]:
        raise RuntimeError(f"[bmm] the batches differ: shapes {input.shape} and {mat2.shape}")
    return Matmul.apply(input, mat2)


__all__ = ["bmm", "matmul", "mm"]
