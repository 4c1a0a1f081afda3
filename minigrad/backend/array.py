"""array: the one place where raw arrays are made, and where numpy is named.

Every buffer of an op comes from `empty`, so that memory is pooled and aligned and can be planned for a recorded step.
"""

import numpy as np

from minigrad import recording
from minigrad.backend import cpu, devices
from minigrad.backend.devices import Arrays as Arrays
from minigrad.backend.devices import device_of
from minigrad.dtypes import HALVES

_float32 = np.dtype(np.float32)
_COPIES = {d: "copy_forward" + (f"_{d}" if d in HALVES else "") for d in (_float32, *HALVES)}  # of other devices
MOST_DIMS = 8  # that their kernels count by
_copy = cpu.kernels().get("copy_forward")  # moves bits: there is nothing in it that a reference could tell apart


def _empty(shape, dtype):
    array = devices.empty_there(shape, dtype)
    return cpu.empty(shape, dtype) if array is None else array


# empty(shape: tuple, dtype) -> array on the device of the op that runs; 64-byte aligned and pooled with the extension
empty = cpu.empty if cpu.divert_empty else _empty


def array_module(x):
    """The module whose functions work on `x`: numpy, also for arrays of the simulator; CuPy for the GPU's."""
    return np if isinstance(x, np.ndarray) or devices.device_of(x) != devices.CUDA else devices.gpu.cupy


quiet = np.errstate(all="ignore")  # decorates references: inf and nan are results here, not events


def largest(x, dim):
    """The maximum along `dim`, which stays with size 1; -inf where there is nothing (CuPy's max takes no `initial`)."""
    if x.shape[dim]:
        return x.max(dim, keepdims=True)
    shape = list(x.shape)
    shape[dim] = 1
    return array_module(x).full(shape, -np.inf, x.dtype)


def is_array(x):
    return isinstance(x, devices.array_types)


def empty_like(x):
    return empty(x.shape, x.dtype) if type(x) is np.ndarray else empty_beside(x, x.shape, x.dtype)


def empty_beside(x, shape, dtype):
    """`empty` on the device of `x`."""
    with devices.on(device_of(x)):
        return empty(shape, dtype)


def full(shape, value, dtype):
    out = empty(shape, dtype)
    fill(out, value)
    return out


def full_like(x, value):
    out = empty_like(x)
    fill(out, value)
    return out


def write(body, out, *args, native=None):
    """Run body(out, *args), which writes into `out` by no kernel, so that a recorded step can do it again.

    `native`: the extension's function that does the same.
    """
    (native or body)(out, *args)
    if recording.recorder is not None:
        recording.note(body.__name__, body, native, 1, (out, *args))


def computed(function, *args, elsewhere=None):
    """The array function(*args), found by no kernel, so that a recorded step can find it again.

    `elsewhere`: what finds it by kernels where the first array among `args` lies on another device than the CPU.
    """
    if elsewhere is not None and devices.in_use and device_of(next(filter(is_array, args))) != devices.CPU:
        return elsewhere(*args)
    array = function(*args)
    if devices.in_use:
        array = devices.placed(array)
    if recording.recorder is None:
        return array
    out = empty(array.shape, array.dtype)
    write(_compute, out, function, *args)
    return out


def _compute(out, function, *args):
    out[...] = devices.reached(function(*args), out)


def fill(out, value):
    native = _copy if type(value) in (float, int) and _plain(out) else None
    write(type(out).fill, out, value, native=native)


def assign(out, x):
    """Write `x` into `out`, broadcast and converted."""
    native = _copy if _plain(out) and _plain(x) else None
    write(_assign, out, x, native=native)


def _plain(x):
    return type(x) is np.ndarray and x.dtype == _float32


@quiet
def _assign(out, x):
    if type(x) is np.ndarray is type(out):
        out[...] = x
    elif body := _copies(out, x):
        body(out, x)
    else:
        out[...] = devices.reached(x, out)


def _copies(out, x):
    """The kernel of another device that copies `x` into `out`, where it has one for two such arrays that lie apart.

    What is one block of memory in both needs none.
    """
    if type(x) is not type(out) or x.dtype != out.dtype or x.shape != out.shape or owner(x) is owner(out):
        return None
    if out.ndim > MOST_DIMS or out.dtype not in _COPIES or (out.flags.c_contiguous and x.flags.c_contiguous):
        return None
    return devices.kernels(out.__class__).get(_COPIES[out.dtype])


def contiguous(x):
    """`x` itself if its elements lie in C order, else a copy that does."""
    return x if devices.is_contiguous(x) else copy(x)


def copy(x):
    out = empty_like(x)
    assign(out, x)
    return out


def reshaped(x, shape):
    """`x` under another shape: a view where strides allow, else a copy (that a recorded step can make again)."""
    y = x.reshape(shape)
    return y if recording.recorder is None or owner(y) is owner(x) else copy(x).reshape(shape)


def cast(x, dtype):
    """A copy of `x` in another dtype: what is too large becomes inf, or an integer of the processor's choice."""
    out = empty(x.shape, dtype) if type(x) is np.ndarray else empty_beside(x, x.shape, dtype)
    assign(out, x)
    return out


def owner(x):
    """The array that holds the memory that `x` is a view of."""
    base = x.base
    if not isinstance(base, devices.array_types):
        return x
    return base if type(base) is np.ndarray else owner(base)


def is_view(x):
    """Whether `x` looks into another array's memory."""
    return isinstance(x.base, devices.array_types)


def is_alone(x, arrays):
    """Whether none of `arrays` but `x` itself, which is among them, shares memory with it: no, where it is unknown."""
    if type(x) is not np.ndarray:
        return False
    memory, holders = owner(x), 0
    for a in arrays:
        if a is not None and (a is memory or a.base is memory):
            holders += 1
    return holders == 1 and x.flags.writeable
