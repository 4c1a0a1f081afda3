"""devices: which there are, where an array lies, and where new ones are made.

An array's type tells its device. While an op runs, `empty` makes arrays where its arguments lie: `run` sees to that,
and refuses arguments of different devices. As long as all arrays are the CPU's none of this is in the way: `in_use` is
False, and `empty` is the CPU's own.
"""

import threading
from contextlib import contextmanager
from functools import cache

import numpy as np

from minigrad import recording
from minigrad.backend import cpu, gpu, simulated

CPU = "cpu"
CUDA = gpu.DEVICE
NAMES = (CPU, simulated.DEVICE, CUDA)
REMOTE = NAMES[1:]  # with memory of their own
in_use = False  # whether another device than the CPU ever was
array_types: tuple = (np.ndarray,)  # of raw arrays; the GPU's join when they are first used


class _Place(threading.local):
    device = CPU  # where this thread makes arrays


_place = _Place()


def device_of(x):
    """The name of the device that an array lies on."""
    return device_of_type(type(x))


def device_of_type(array_type):
    """The same for a type of arrays, or of lists of them."""
    if array_type in _of or array_type is np.ndarray:
        return _of.get(array_type, CPU)
    return next((_of[t] for t in array_type.__mro__ if t in _of), CPU)


def known(op, device):
    """The name of a device. Errors: RuntimeError for one that is not there."""
    name = CPU if device is None else str(device).removesuffix(":0")
    expected = f"[{op}] device {str(device)!r} is not available, expected 'cpu' or {simulated.DEVICE!r}"
    if name not in NAMES:
        raise RuntimeError(f"{expected}, or {CUDA!r} where there is a GPU")
    if name == CUDA:
        try:
            use_gpu()
        except RuntimeError as error:
            raise RuntimeError(f"{expected}: {error}") from None
    return name


def use_gpu():
    """Make the GPU's arrays known. Errors: RuntimeError that says what is missing."""
    global array_types
    arrays = gpu.load().ndarray
    _of[arrays], array_types = CUDA, (np.ndarray, arrays)
    _look_out()


def _look_out():
    """From now on arrays may lie elsewhere than on the CPU."""
    global in_use
    in_use = True
    if cpu.divert_empty:
        cpu.divert_empty(empty_there)


@contextmanager
def on(device):
    """Inside the block `empty` makes arrays on `device`."""
    if device != CPU and not in_use:
        _look_out()
    before, _place.device = _place.device, device
    try:
        yield
    finally:
        _place.device = before


def empty_there(shape, dtype):
    """An array where this thread makes them; None on the CPU."""
    if _place.device == CPU:
        return None
    out = (gpu if _place.device == CUDA else simulated).empty(shape, dtype)
    if recording.recorder is not None:
        recording.made(out if isinstance(out, np.ndarray) else out.data.mem)
    return out


def move(x, device, non_blocking=False):
    """`x` itself if it lies there, else a copy on `device`; `non_blocking` does not wait for one from pinned memory."""
    if device_of(x) == device:
        return x
    recording.refuse(f"[to] a tensor goes from {device_of(x)} to {device}")
    return _moved(x, device, non_blocking)


def _moved(x, device, non_blocking=False):
    if device == CUDA and non_blocking:
        from minigrad.backend.pinned import to_gpu

        return to_gpu(x)
    if device == CUDA:
        return gpu.from_host(x)
    if device_of(x) == CUDA:
        x = gpu.to_host(x)
    if device_of(x) == device:
        return x
    with on(device):
        out = empty_there(x.shape, x.dtype) if device != CPU else cpu.empty(x.shape, x.dtype)
    out[...] = x
    return out


def placed(x):
    """`x` where this thread makes arrays, if numpy made it on the CPU."""
    return x if _place.device in (CPU, device_of(x)) else _moved(x, _place.device)


def reached(x, out):
    """`x`, or a copy of it where `out` can be written from it; numpy reaches the simulator's memory."""
    there = isinstance(x, array_types) and isinstance(x, np.ndarray) != isinstance(out, np.ndarray)
    return _moved(x, device_of(out)) if there else x


def address(x):
    """Where the first element of an array lies."""
    return x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr


def is_contiguous(x):
    """Whether the elements of an array lie in C order, one behind the other."""
    return x.flags.c_contiguous if isinstance(x, np.ndarray) else x._c_contiguous  # CuPy's flags are an object each


def on_host(op, x):
    """`x`, which must lie in the CPU's memory. Errors: TypeError if it does not."""
    if type(x) is not np.ndarray and device_of(x) != CPU:
        raise TypeError(f"[{op}] a tensor on {device_of(x)} has no memory to share with numpy: use cpu() first")
    return x


def run(op, function, args):
    """function(*args), on the device of the arrays among `args`; an array without dimensions may come from the CPU.

    Errors: RuntimeError when arrays lie on different devices.
    """
    kinds = {type(a) for a in args if isinstance(a, array_types)}
    if len(kinds) == 1:
        return _run_on(device_of_type(*kinds), function, args)
    arrays = [a for a in args if isinstance(a, array_types)]
    places = {device_of(a) for a in arrays if a.ndim} or {device_of(a) for a in arrays}
    if len(places) > 1:
        places = {device_of(a) for a in arrays if a.ndim or device_of(a) != CPU}
    if len(places) > 1 or not places:
        return _refuse(op, arrays) if places else function(*args)
    device = places.pop()
    return _run_on(device, function, [move(a, device) if isinstance(a, array_types) else a for a in args])


def _run_on(device, function, args):
    before, _place.device = _place.device, device
    try:
        return function(*args)
    finally:
        _place.device = before


def run_beside(function, values):
    """function(*values), on the device of the first of these arrays or Tensors."""
    first = next(v for v in values if v is not None)
    with on(device_of(getattr(first, "array", first))):
        return function(*values)


def _refuse(op, arrays):
    shown = " and ".join(f"{a.shape} on {device_of(a)}" for a in arrays)
    raise RuntimeError(f"[{op}] arguments lie on different devices: {shown}, expected one device: move with `to`")


@cache
def kernels(array_type):
    """The bodies that a device has for arrays of this type: name -> function."""
    device = device_of_type(array_type)
    if device == CPU:
        return {}
    if device == CUDA:
        from minigrad.cuda.gpu import bodies
    else:
        from minigrad.cuda.launches import bodies
    return bodies()


def ahead(device):
    """What copies to a device beside other work (`backend.pinned.Ahead`), or None where copies are made at once."""
    if device != CUDA:
        return None
    from minigrad.backend.pinned import Ahead

    return Ahead()


def no_gpu():
    """What is missing for a GPU to be used, in words; None where there is one."""
    from minigrad.cuda.availability import missing

    return missing()


def graphs(device):
    """What makes graphs of calls on a device (`minigrad.cuda.graph.Graphs`), or None where calls are just repeated."""
    if device != CUDA:
        return None
    from minigrad.cuda import graph

    return graph.Graphs() if graph.possible() else None


class Arrays(tuple):
    """Arrays of one dtype, and of one device, that a kernel takes as one argument."""

    def __new__(cls, arrays):
        items = tuple(arrays)
        device = device_of(items[0]) if in_use and items else CPU
        return super().__new__(LISTS[device], items)

    @property
    def dtype(self):
        return self[0].dtype


class SimArrays(Arrays):
    """Arrays on the simulator."""


class GpuArrays(Arrays):
    """Arrays on the GPU."""


LISTS = {CPU: Arrays, simulated.DEVICE: SimArrays, CUDA: GpuArrays}
_of = {simulated.SimArray: simulated.DEVICE, SimArrays: simulated.DEVICE, GpuArrays: CUDA}
