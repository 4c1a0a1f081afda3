"""embedding: y_i = w[index_i]        dw_r = the sum of dy_i over all i with index_i = r

Two ops, each the other's gradient: `Embedding` reads rows, `AddRows` sums into them. Kernels: csrc/cpu/embedding.cpp.
"""

import numpy as np

from minigrad.autograd import Op
from minigrad.backend.array import contiguous, empty
from minigrad.backend.checks import check_bounds
from minigrad.dtypes import INTEGERS, float64, int64, is_floating
from minigrad.kernel import kernel
from minigrad.ops.operands import check_tensor
from minigrad.tensor import wrap


@kernel()
def embedding_forward(y, weight, index):
    check_bounds("embedding", index, len(weight), f"a table of {len(weight)} rows")
    y[...] = weight[index]


@kernel()
def embedding_backward(dw, dy, index):
    dw[...] = 0
    if index.size:
        order = index.argsort(kind="stable")
        rows, first = np.unique(index[order], return_index=True)
        wide = float64 if is_floating(dy.dtype) else dy.dtype
        dw[rows] = np.add.reduceat(dy[order], first, 0, dtype=wide)


class Embedding(Op):
    """y = w[index] with w (rows, cols), index (n) of some shape        dw = dy summed into the rows"""

    def forward(self, weight, index, shape):
        self.saved, self.size = (index,), weight.shape
        y = empty((*shape, weight.shape[1]), weight.dtype)
        embedding_forward(y.reshape(index.size, weight.shape[1]), contiguous(weight), index)
        return y

    def backward(self, dy):
        dw, (index,) = empty(self.size, dy.dtype), self.saved
        embedding_backward(dw, contiguous(dy).reshape(index.size, self.size[1]), index)
        return dw

    def gradient(self, dy):
        (index,) = self.saved
        return AddRows.apply(dy.reshape(index.size, self.size[1]), index, self.size[0])


class AddRows(Op):
    """y (rows, cols) = zeros with x_i added to row index_i        dx = dy[index]"""

    def forward(self, x, index, rows):
        self.saved = (index,)
        y = empty((rows, x.shape[1]), x.dtype)
        embedding_backward(y, contiguous(x), index)
        return y

    def gradient(self, dy):
        (index,) = self.saved
        return Embedding.apply(dy, index, index.shape)


def _check(input, weight, max_norm, sparse):
    check_tensor("embedding", input)
    check_tensor("embedding", weight, "weight")
    if input.dtype not in INTEGERS:
        raise RuntimeError(f"[embedding] the index must be integer, found {input.dtype}")
    if weight.ndim != 2:
        raise RuntimeError(f"[embedding] weight must have 2 dimensions, found shape {weight.shape}")
    if max_norm is not None or sparse:
        raise NotImplementedError("[embedding] max_norm and sparse are not supported, expected None and False")


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """y_i = w[index_i]        dw_r = the sum of dy_i over all i with index_i = r

    Args:
        input (integer Tensor): which rows, any shape.
        weight (Tensor): the table.
        padding_idx (int, optional): a row that gets no gradient; counted from the end if negative.
        max_norm, norm_type, sparse: for compatibility; only max_norm=None and sparse=False are supported.
        scale_grad_by_freq (bool): divide the gradient of a row by how often it was read.

    Shape: input (*), weight (rows, cols), output (*, cols).
    Errors: IndexError for an index outside the table (none on a GPU, where to look would be to wait: zeros are read),
    RuntimeError for an index that is not integer or a table without 2 dimensions, ValueError for a padding_idx outside
    the table.
    Source: Bengio et al., "A neural probabilistic language model", 2003.

    >>> import minigrad as mg
    >>> from minigrad.nn import functional as F
    >>> F.embedding(mg.tensor([1, 0, 1]), mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    _check(input, weight, max_norm, sparse)
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise ValueError(f"[embedding] padding_idx {padding_idx} is not a row of a table of {rows} rows")
    index = contiguous(input.array).reshape(-1).astype(int64, copy=False)
    y = Embedding.apply(weight, index, input.shape)
    if weight.requires_grad and (padding_idx is not None or scale_grad_by_freq):
        scale = _scale(index, rows, padding_idx, scale_grad_by_freq, weight.dtype)
        y = Scaled.apply(y, scale.reshape(*input.shape, 1))
    return y


def _scale(index, rows, padding_idx, by_frequency, dtype):
    """What to multiply the gradient of each y_i by."""
    scale = 1 / np.bincount(index, minlength=rows)[index] if by_frequency else np.ones(index.size)
    if padding_idx is not None:
        scale[index == padding_idx % rows] = 0
    return scale.astype(dtype)


class Scaled(Op):
    """y = x        dx = scale dy: a gradient that is changed on its way"""

    def forward(self, x, scale):
        self.scale = scale
        return x

    def gradient(self, dy):
        return dy * wrap(self.scale)


__all__ = ["embedding"]
