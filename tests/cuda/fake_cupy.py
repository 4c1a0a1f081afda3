"""A stand-in for CuPy: as much of it as the device "cuda" uses, on the simulator's memory, with simulated launches.

Its arrays are not numpy's, and refuse what CuPy's refuse: to become numpy's unasked, and to be mixed with numpy's.
"""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np

from minigrad.backend import simulated
from minigrad.cuda import simulator

counts = {"synchronisations": 0}
launched: list = []  # (entry point, the arguments)
sources: dict = {}  # path of a cubin -> text and name of what it was made from


def unwrapped(value):
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return [unwrapped(v) for v in value] if isinstance(value, list) else tuple(map(unwrapped, value))
    return {k: unwrapped(v) for k, v in value.items()} if isinstance(value, dict) else value


def wrapped(value, source=None):
    """What numpy gave as CuPy would: arrays, also in the place of numpy's scalars; views of `source` know it."""
    if isinstance(value, (np.ndarray, np.generic)):
        held = np.asarray(value).view(simulated.SimArray)
        root = None if source is None else source.base if source.base is not None else source
        return ndarray(held, root if root is not None and np.may_share_memory(held, root.held) else None)
    return type(value)(wrapped(v, source) for v in value) if type(value) in (tuple, list) else value


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    def __init__(self, held, base=None):
        self.held, self.base = held, base

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__":
            return NotImplemented
        out = options.get("out")
        result = ufunc(*map(unwrapped, inputs), **unwrapped(options))
        return (out[0] if len(out) == 1 else out) if out else wrapped(result)

    def __array_function__(self, function, types, args, options):
        result = function(*unwrapped(list(args)), **unwrapped(options))
        return options["out"] if options.get("out") is not None else wrapped(result, self)

    def __getattr__(self, name):
        if name in ("ctypes", "__array_interface__", "__array_struct__"):
            raise AttributeError(name)
        value = getattr(self.held, name)
        if not callable(value):
            return wrapped(value, self)
        return lambda *args, **options: wrapped(value(*unwrapped(list(args)), **unwrapped(options)), self)

    def tolist(self):
        return self.get().tolist()

    def item(self):
        return self.get().item()

    def get(self):
        counts["synchronisations"] += 1
        return np.array(self.held)

    def fill(self, value):
        self.held.fill(unwrapped(value))

    @property
    def data(self):
        return SimpleNamespace(ptr=self.held.ctypes.data)

    @property
    def _c_contiguous(self):
        return self.held.flags.c_contiguous

    @property
    def flags(self):
        return SimpleNamespace(**{name: getattr(self.held.flags, name) for name in ("c_contiguous", "f_contiguous")})

    def __getitem__(self, index):
        return wrapped(self.held[_index(index)], self)

    def __setitem__(self, index, value):
        self.held[_index(index)] = unwrapped(value)

    def __len__(self):
        return len(self.held)

    def __bool__(self):
        return bool(self.get())

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    __index__ = __int__


def _index(index):
    """CuPy takes numpy's arrays as indices."""
    return tuple(map(_index, index)) if type(index) is tuple else getattr(index, "held", index)


class RawModule:
    def __init__(self, path):
        self.source = sources[path]

    def get_function(self, name):
        library = simulator.load(*self.source, "fast")
        parameters = library.signatures[name].parameters

        def start(grid, block, args, shared_mem=0):
            assert len(grid) == len(block) == 3
            assert len(args) == len(parameters)
            for p, a in zip(parameters, args, strict=True):  # passed by value: each as wide as it was declared
                assert type(a) is np.ndarray and a.ndim == 0
                dtype = simulator.structures.get(p.ctype) or simulator.SCALARS.get(p.ctype)
                assert a.dtype == (np.uint64 if p.pointer else dtype), p
            launched.append((name, args))
            call = simulator._Launch(
                name.encode(), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared_mem,
                simulator.SHARED_LIMIT, simulator._pointers(args), len(args), None, 0, 0, 0,
            )  # fmt: skip
            report = simulator._Report()
            assert library._launch(ctypes.byref(call), ctypes.byref(report)) == 0, report.message

        return start


def empty(shape, dtype):
    return ndarray(simulated.empty(shape, dtype))


def asarray(x):
    assert type(x) is np.ndarray
    out = empty(x.shape, x.dtype)
    out.held[...] = x
    return out


def asnumpy(x):
    return x.get()


class Device:
    compute_capability = "90"

    def __init__(self, device=0):
        self.id = device

    def synchronize(self):
        counts["synchronisations"] += 1


class Stream:
    current: list = []

    def __init__(self, non_blocking=False):
        self.done, self.waits = True, []

    def __enter__(self):
        Stream.current.append(self)

    def __exit__(self, *error):
        Stream.current.pop()

    def synchronize(self):
        counts["synchronisations"] += 1

    def wait_event(self, event):
        self.waits.append(event)


class Event:
    def __init__(self, disable_timing=False):
        self.timed, self.stream, self.done = not disable_timing, None, True

    def record(self, stream):
        self.stream = stream

    def synchronize(self):
        counts["synchronisations"] += 1


Stream.current.append(Stream())
cuda = SimpleNamespace(
    runtime=SimpleNamespace(getDeviceCount=lambda: 1), Device=Device, Stream=Stream, Event=Event,
    get_current_stream=lambda: Stream.current[-1], get_elapsed_time=lambda begin, end: 1.5,
)  # fmt: skip


def get_default_memory_pool():
    return SimpleNamespace(used_bytes=lambda: 256, total_bytes=lambda: 512)


def __getattr__(name):
    """Functions of numpy, for arrays of this module."""
    if name.startswith("__"):
        raise AttributeError(name)
    value = getattr(np, name)
    if not callable(value) or isinstance(value, type):
        return value
    return lambda *args, **options: wrapped(value(*unwrapped(list(args)), **unwrapped(options)))


module = sys.modules[__name__]
