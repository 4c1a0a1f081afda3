"""operands: what ops are given: checks, shapes that broadcast, and the dtype that operands have in common."""

import numpy as np

import minigrad.ops as ops
from minigrad.backend.array import computed
from minigrad.dtypes import _KIND, _TABLE, _python_dtype, bool_, get_default_dtype, is_floating, result_dtype
from minigrad.tensor import Tensor, wrap


def check_tensor(op, value, argument="input"):
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] {argument} must be a Tensor, found {type(value).__name__}")


def check_bools(op, *operands):
    """Raise if an operand is a bool tensor."""
    if any(isinstance(x, Tensor) and x.array.dtype is bool_ for x in operands):
        raise RuntimeError(f"[{op}] is not defined for bool tensors: use ~ or logical_not to invert a mask")


def as_sizes(args):
    """`f(2, 3)` and `f((2, 3))` alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def broadcast_sizes(op, *shapes):
    """The shape that shapes broadcast to. Errors: RuntimeError naming those that do not fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise RuntimeError(
            f"[{op}] shapes {listed} do not broadcast: sizes must be equal or 1, counted from the right"
        ) from None


def sum_to(x, shape):
    """The adjoint of broadcasting: sum `x` down to `shape`."""
    return x if x.shape == shape else ops.sum_to_size(x, shape)


def common(op, a, b, floats=False, wraps=True):
    """Both operands in their common dtype: Tensors are cast, a number on the right stays one where it can.

    `floats`: integers are converted to floats. `wraps`: numbers too large for an integer dtype wrap around.
    """
    if not isinstance(a, Tensor):
        check_tensor(op, b, "one operand")
        a = operand(op, a, b.dtype)
    if not isinstance(b, Tensor):
        dtype = a.array.dtype
        if isinstance(b, (bool, int, float)) and _KIND[dtype] >= _KIND[_python_dtype(b)]:
            if is_floating(dtype):
                return a, b
            if not floats:
                return a, wrapped(b, dtype) if wraps else b
        b = operand(op, b, dtype)
    x, y = a.array.dtype, b.array.dtype
    if x is y and not (floats and not is_floating(x)):
        return a, b
    dtype = _TABLE[x, y] if a.array.ndim and b.array.ndim else result_dtype((a.array, b.array))
    if floats and not is_floating(dtype):
        dtype = get_default_dtype()
    return a if x is dtype else a.to(dtype), b if y is dtype else b.to(dtype)


def wrapped(number, dtype):
    """A Python number as an integer dtype stores it: its lowest bits."""
    if dtype is bool_:
        return number
    bits = 8 * dtype.itemsize
    low = int(number) & ((1 << bits) - 1)
    return low - (1 << bits) if dtype.kind == "i" and low >> (bits - 1) else low


def operand(op, value, like):
    """A number or numpy array as a Tensor; a number takes dtype `like` unless it is of a higher kind."""
    if isinstance(value, (bool, int, float)):
        dtype = result_dtype((np.empty(1, like), value))
        return wrap(computed(np.asarray, value if is_floating(dtype) else wrapped(value, dtype), dtype))
    if isinstance(value, (np.ndarray, np.generic)):
        return ops.as_tensor(value)
    raise TypeError(f"[{op}] operands must be Tensors or numbers, found {type(value).__name__}")
