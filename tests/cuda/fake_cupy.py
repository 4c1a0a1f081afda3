"""A stand-in for CuPy: as much of it as the device "cuda" uses, on the simulator's memory, with simulated launches.

Its arrays are not numpy's, and refuse what CuPy's refuse: to become numpy's unasked, to be mixed with numpy's, and
whatever cupy_names.txt does not list. Numpy does the rest.
"""

import ctypes
import sys
from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from minigrad.backend import simulated
from minigrad.cuda import simulator
from tests.cuda import cupy_names

METHODS = {  # of ufuncs: those for which CuPy has them
    "reduce": ("add", "multiply"),
    "accumulate": ("add", "multiply"),
    "reduceat": ("add",),
    "at": ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"),
}
counts = {"synchronisations": 0}
launched: deque = deque(maxlen=4096)  # (entry point, the arguments)
sources: dict = {}  # path of a cubin -> text and name of what it was made from


def unwrapped(value):
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray):
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
        if method == "__call__":
            cupy_names.check(ufunc.__name__, inputs, options)
        elif ufunc.__name__ not in METHODS.get(method, ()):
            raise NotImplementedError(f"CuPy has no {ufunc.__name__}.{method}")
        out = options.get("out")
        if ufunc.__name__.startswith(("greater", "less", "equal", "not_equal")):
            inputs = [x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs]
        result = getattr(ufunc, method)(*map(unwrapped, inputs), **unwrapped(options))
        return (out[0] if len(out) == 1 else out) if out else wrapped(result)

    def __array_function__(self, function, types, args, options):
        check_function(function.__name__, args, options)
        result = function(*unwrapped(list(args)), **unwrapped(options))
        return options["out"] if options.get("out") is not None else wrapped(result, self)

    def __getattr__(self, name):
        if f"ndarray.{name}" not in cupy_names.table():
            raise AttributeError(f"CuPy's arrays have no {name}")
        value = getattr(self.held, name)
        if not callable(value):
            return wrapped(value, self)

        def method(*args, **options):
            cupy_names.check(f"ndarray.{name}", args, options)
            if name == "nonzero" and not self.held.ndim:
                raise ValueError("Calling nonzero on 0d arrays is not allowed.")
            return wrapped(value(*unwrapped(list(args)), **unwrapped(options)), self)

        return method

    def tolist(self):
        return self.get().tolist()

    def item(self):
        return self.get().item()

    def get(self):
        counts["synchronisations"] += 1
        return np.array(self.held)

    def fill(self, value):
        self.held.fill(value if isinstance(value, np.ndarray) and not value.ndim else unwrapped(value))

    @property
    def data(self):
        return SimpleNamespace(ptr=self.held.ctypes.data)

    @property
    def device(self):
        return Device()

    @property
    def _c_contiguous(self):
        return self.held.flags.c_contiguous

    @property
    def flags(self):
        return SimpleNamespace(**{name: getattr(self.held.flags, name) for name in ("c_contiguous", "f_contiguous")})

    def __getitem__(self, index):
        with wrapping(index):
            return wrapped(self.held[_index(index)], self)

    def __setitem__(self, index, value):
        value = value[()] if isinstance(value, np.ndarray) and not value.ndim else unwrapped(value)
        if isinstance(value, (list, tuple)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        with wrapping(index):
            self.held[_index(index)] = value

    def __len__(self):
        return len(self.held)

    def __bool__(self):
        return bool(self.get())

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    __index__ = __int__


@contextmanager
def wrapping(index):
    """CuPy takes an index beyond the end modulo the size: who relies on an error there is told so."""
    try:
        yield
    except IndexError as error:
        parts = index if type(index) is tuple else (index,)
        if any(isinstance(p, (ndarray, np.ndarray, list)) and "out of bounds" in str(error) for p in parts):
            raise AssertionError(f"CuPy does not look whether {error}") from None
        raise


def check_function(name, args, options):
    cupy_names.check(name, args, options)
    if name == "nonzero" and not args[0].held.ndim:
        raise ValueError("Calling nonzero on 0d arrays is not allowed.")


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
        self.done, self.waits, self.ptr = True, [], id(self)

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

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
    if name not in cupy_names.table():
        raise AttributeError(f"CuPy has no {name}")
    value = getattr(np, name)
    if not callable(value) or isinstance(value, type):
        return value

    def function(*args, **options):
        check_function(name, args, options)
        return wrapped(value(*unwrapped(list(args)), **unwrapped(options)))

    return function


module = sys.modules[__name__]
