"""creation: tensors from data, from a shape, and from numpy's memory.

`tensor` copies, `as_tensor` shares if it can, `from_numpy` and `from_dlpack` always share. Shapes are given as ints or
as one tuple.
"""

import builtins
from functools import wraps

import numpy as np

from minigrad.backend import devices
from minigrad.backend.array import assign, empty, empty_beside, fill
from minigrad.backend.array import full as full_array
from minigrad.dtypes import as_dtype, canonical, float64, get_default_dtype
from minigrad.tensor import Tensor, wrap


def placed(function):
    """Let a function that makes a tensor and has an argument `device` make it there, "cpu" if nothing is said."""

    @wraps(function)
    def make(*args, **options):
        device = options.get("device")
        if device is None or device == devices.CPU:
            return function(*args, **options)
        device = devices.known(function.__name__, device)
        with devices.on(device):
            out = function(*args, **options)
        out.array = devices.move(out.array, device)
        return out

    return make


@placed
def tensor(data, *, dtype=None, requires_grad=False, device=None):
    """A new tensor with a copy of `data`.

    Args:
        data: number, nested lists, numpy array or Tensor.
        dtype (optional): found from the data if left out: Python floats give the default dtype (float32), ints int64,
            bools bool.
        requires_grad (bool): track a gradient for it.
        device (str, optional): "cpu" (the default), or a device of `minigrad.cuda`.

    Errors: ValueError for ragged lists, TypeError for data or a dtype that is not numeric, RuntimeError for a device
    that is not there.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2], [3, 4]], dtype=mg.float32)
    tensor([[1., 2.],
            [3., 4.]])
    """
    array = data.array if isinstance(data, Tensor) else _array(data, dtype)
    out = empty(array.shape, as_dtype(dtype) if dtype is not None else as_dtype(array.dtype))
    if type(data) in (builtins.bool, builtins.int, builtins.float):
        fill(out, data)
    else:
        assign(out, array)
    return wrap(out).requires_grad_(requires_grad)


def _array(data, dtype):
    """Numbers and nested sequences (Tensors among them) as an array of PyTorch's dtype."""
    if isinstance(data, (np.ndarray, np.generic)):
        return data if isinstance(data, np.ndarray) else np.asarray(data)
    if isinstance(data, (list, tuple)) and data and builtins.any(isinstance(d, (Tensor, list, tuple)) for d in data):
        data = _unwrapped(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"[tensor] nested sequences must have equal lengths: {error}") from None
    if array.dtype.kind not in "biufV":
        raise TypeError(f"[tensor] expected numbers, found {type(data).__name__} of {array.dtype}")
    if dtype is None and array.dtype == float64 and not isinstance(data, np.ndarray):
        return array.astype(get_default_dtype())
    return array


def _unwrapped(data):
    if isinstance(data, Tensor):
        return data.tolist()
    return [_unwrapped(d) for d in data] if isinstance(data, (list, tuple)) else data


def as_tensor(data, dtype=None, device=None):
    """`data` as a Tensor, sharing memory if it is a Tensor or numpy array of that dtype already.

    >>> import minigrad as mg
    >>> mg.as_tensor([1, 2])
    tensor([1, 2])
    """
    device = device and devices.known("as_tensor", device)
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == as_dtype(dtype)):
        return from_numpy(data).to(device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array):
    """A Tensor on the memory of a numpy array: writing to one is writing to the other.

    Errors: TypeError for anything but a numpy array of a supported dtype.

    >>> import minigrad as mg, numpy as np
    >>> a = np.zeros(2, np.float32)
    >>> t = mg.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.])
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] expected a numpy array, found {type(array).__name__}")
    return wrap(canonical(array))


def from_dlpack(source):
    """A Tensor on the memory of any object with `__dlpack__` (PyTorch, JAX, CuPy on the CPU, numpy).

    >>> import minigrad as mg, numpy as np
    >>> mg.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    return from_numpy(np.from_dlpack(source))


# From a shape --------------------------------------------------------------------------------------------------------


def as_shape(op, sizes):
    """`f(2, 3)` and `f((2, 3))` as a tuple. Errors: TypeError for other than ints, RuntimeError for negative ones."""
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    for n in sizes:
        if isinstance(n, builtins.bool) or not hasattr(n, "__index__"):
            raise TypeError(f"[{op}] sizes must be ints, found {n!r}")
    sizes = tuple(n.__index__() for n in sizes)
    if builtins.any(n < 0 for n in sizes):
        raise RuntimeError(f"[{op}] sizes must not be negative, found {sizes}")
    return sizes


def _filled(op, sizes, value, dtype, requires_grad):
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    return wrap(full_array(as_shape(op, sizes), value, dtype)).requires_grad_(requires_grad)


@placed
def zeros(*size, dtype=None, requires_grad=False, device=None):
    """A tensor of zeros.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3).shape
    (2, 3)
    """
    return _filled("zeros", size, 0, dtype, requires_grad)


@placed
def ones(*size, dtype=None, requires_grad=False, device=None):
    """A tensor of ones.

    >>> import minigrad as mg
    >>> mg.ones(2)
    tensor([1., 1.])
    """
    return _filled("ones", size, 1, dtype, requires_grad)


@placed
def full(size, fill_value, *, dtype=None, requires_grad=False, device=None):
    """A tensor of one value; the dtype is found from it if left out.

    >>> import minigrad as mg
    >>> mg.full((2,), 7)
    tensor([7, 7])
    """
    dtype = _array(fill_value, None).dtype if dtype is None else dtype
    return _filled(
        "full", (tuple(size) if isinstance(size, (tuple, list)) else (size,),), fill_value, dtype, requires_grad
    )


@placed
def empty_tensor(*size, dtype=None, requires_grad=False, device=None):
    """A tensor whose values are whatever the memory held.

    >>> import minigrad as mg
    >>> mg.empty(2, 3).shape
    (2, 3)
    """
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    return wrap(empty(as_shape("empty", size), dtype)).requires_grad_(requires_grad)


def _like(input, value, dtype, requires_grad):
    array = empty_beside(input.array, input.shape, input.dtype if dtype is None else as_dtype(dtype))
    fill(array, value)
    return wrap(array).requires_grad_(requires_grad)


def zeros_like(input, *, dtype=None, requires_grad=False):
    """Zeros in the shape and dtype of `input`.

    >>> import minigrad as mg
    >>> mg.zeros_like(mg.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like(input, 0, dtype, requires_grad)


def ones_like(input, *, dtype=None, requires_grad=False):
    """Ones in the shape and dtype of `input`.

    >>> import minigrad as mg
    >>> mg.ones_like(mg.tensor([1.5, 2.0]))
    tensor([1., 1.])
    """
    return _like(input, 1, dtype, requires_grad)


def full_like(input, fill_value, *, dtype=None, requires_grad=False):
    """One value in the shape and dtype of `input`."""
    return _like(input, fill_value, dtype, requires_grad)


def empty_like(input, *, dtype=None, requires_grad=False):
    """Uninitialised memory in the shape and dtype of `input`."""
    dtype = input.dtype if dtype is None else as_dtype(dtype)
    return wrap(empty_beside(input.array, input.shape, dtype)).requires_grad_(requires_grad)


def is_tensor(obj):
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
