"""where: y = a where mask, else b        da = dy where mask, else 0; db = dy where not mask, else 0

The mask is not differentiable. Kernel: csrc/cpu/elementwise.cpp.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, empty, is_array
from minigrad.dtypes import bool_, result_dtype
from minigrad.kernel import kernel
from minigrad.ops.creation import tensor
from minigrad.ops.inplace import inplace
from minigrad.ops.operands import broadcast_sizes, check_tensor, common, sum_to
from minigrad.tensor import Tensor, method, wrap


@kernel()
def where_forward(y, mask, a, b):
    y[...] = array_module(y).where(mask, a, b)


class Where(Op):
    def forward(self, mask, a, b):
        arrays = [v for v in (a, b) if is_array(v)]
        y = empty(broadcast_sizes("where", mask.shape, *[v.shape for v in arrays]), arrays[0].dtype)
        where_forward(y, mask, a, b)
        self.saved, self.shapes = (mask,), [v.shape if is_array(v) else () for v in (a, b)]
        return y

    def gradient(self, dy):
        mask = wrap(*self.saved)
        da = sum_to(where(mask, dy, 0), self.shapes[0]) if self.needs(1) else None
        db = sum_to(where(mask, 0, dy), self.shapes[1]) if self.needs(2) else None
        return None, da, db


def check_mask(op, mask):
    check_tensor(op, mask, "the mask")
    if mask.dtype != bool_:
        raise RuntimeError(f"[{op}] the mask must be bool, found {mask.dtype}")


def where(condition, input, other):
    """y = input where condition holds, else other        d input = dy there, d other = dy elsewhere

    Args:
        condition (bool Tensor), input, other (Tensor or number): broadcast against each other.

    Errors: RuntimeError if the condition is not bool or shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.where(mg.tensor([True, False]), mg.tensor([1.0, 2.0]), 0)
    tensor([1., 0.])
    """
    condition = tensor(condition) if isinstance(condition, bool) else condition
    check_mask("where", condition)
    if isinstance(input, Tensor):
        input, other = common("where", input, other)
    elif isinstance(other, Tensor):
        other, input = common("where", other, input)
    else:
        input = tensor(input, dtype=result_dtype((input, other)))
    return Where.apply(condition, input, other)


@method
def masked_fill(input, mask, value):
    """y = value where mask holds, else x        dx = dy where it does not, else 0

    Args:
        mask (bool Tensor): broadcast to the shape of `input`. value (number or 0-dim Tensor).

    Errors: RuntimeError if the mask is not bool, does not broadcast, or value has dimensions.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0]).masked_fill(mg.tensor([False, True]), -1)
    tensor([ 1., -1.])
    """
    check_tensor("masked_fill", input)
    check_mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"[masked_fill] value must be a number or 0-dim, found shape {value.shape}")
        return Where.apply(mask, value.to(input.dtype), input)
    return Where.apply(mask, value, input)


def _method_where(self, condition, other):
    """The elements of this tensor where `condition` holds, else those of `other`: `where(condition, self, other)`."""
    return where(condition, self, other)


Tensor.where = _method_where
masked_fill_ = inplace(masked_fill)
__all__ = ["masked_fill", "where"]
