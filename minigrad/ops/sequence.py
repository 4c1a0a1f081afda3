"""sequence: tensors of values in order: arange, linspace, and the identity matrix."""

import builtins
import math

import numpy as np

from minigrad.backend.array import computed
from minigrad.dtypes import as_dtype, get_default_dtype, int64
from minigrad.ops.creation import as_shape, placed
from minigrad.tensor import Tensor, wrap


@placed
def arange(start, end=None, step=1, *, dtype=None, requires_grad=False, device=None):
    """start, start + step, ... up to but without `end` (0 to `start` if `end` is left out).

    Errors: RuntimeError if step is 0 or leads away from end.

    >>> import minigrad as mg
    >>> mg.arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0 or (end - start) / step < 0:
        raise RuntimeError(f"[arange] step {step} does not lead from {start} to {end}")
    if dtype is None:
        dtype = (
            int64 if builtins.all(isinstance(v, (int, np.integer)) for v in (start, end, step)) else get_default_dtype()
        )
    return wrap(computed(_steps, start, end, step, as_dtype(dtype))).requires_grad_(requires_grad)


def _steps(start, end, step, dtype):
    return (start + np.arange(math.ceil((end - start) / step)) * step).astype(dtype)


@placed
def linspace(start, end, steps, *, dtype=None, requires_grad=False, device=None):
    """`steps` values evenly spaced from `start` to `end`, both included.

    >>> import minigrad as mg
    >>> mg.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if steps < 0:
        raise RuntimeError(f"[linspace] steps must not be negative, found {steps}")
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    return wrap(computed(_spaced, start, end, steps, dtype)).requires_grad_(requires_grad)


def _spaced(start, end, steps, dtype):
    return np.linspace(start, end, steps).astype(dtype)


@placed
def eye(n, m=None, *, dtype=None, requires_grad=False, device=None):
    """Ones on the diagonal of an (n, m) matrix of zeros; m is n if left out.

    >>> import minigrad as mg
    >>> mg.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    n, m = as_shape("eye", (n, n if m is None else m))
    return wrap(computed(np.eye, n, m, 0, dtype)).requires_grad_(requires_grad)


__all__ = ["arange", "eye", "linspace"]
