"""Memory and captured streams for the stand-in for CuPy (fake_cupy.py), on the stub of the driver (fake_driver.py).

Memory comes from pools that hand out at once what was freed, full of NaN: a graph that points to memory which is not
its own computes with what others left there. While a stream is captured, what CuPy would do is not done but noted.
"""

import weakref
from contextlib import contextmanager
from functools import wraps

import numpy as np

from minigrad.backend import simulated
from tests.cuda import fake_cupy

UNIT = 512


living: weakref.WeakSet = weakref.WeakSet()


def memory_of(held):
    """The memory that numpy's result is a view of, or new memory that is its own."""
    at = held.ctypes.data
    return next((m for m in living if m.ptr <= at < m.ptr + m.size), None) or Memory(held)


class Memory:
    """What arrays lie in; `held`: an array of numpy's that owns it."""

    def __init__(self, held, pool=None):
        self.bytes, self.pool = held, pool
        self.ptr, self.size = held.ctypes.data, held.nbytes
        living.add(self)

    def __del__(self):
        if self.pool is not None:
            self.pool.free.setdefault(self.size, []).append(self.bytes)


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)


class MemoryPool:
    def __init__(self):
        self.free = {}

    def malloc(self, size):
        size = -(-max(size, 1) // UNIT) * UNIT
        free = self.free.get(size)
        held = free.pop() if free else simulated.empty((size,), np.uint8)
        held[...] = 0xFF
        return MemoryPointer(Memory(held, self), 0)


allocators = [MemoryPool().malloc]


@contextmanager
def using_allocator(malloc):
    allocators.append(malloc)
    try:
        yield
    finally:
        allocators.pop()


def empty(shape, dtype):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return fake_cupy.ndarray(shape, dtype, allocators[-1](size))


def initialised(init):
    """As CuPy's arrays are made, `ndarray(shape, dtype, memptr, strides)`, beside the stand-in's own way."""

    def make(self, held, dtype=None, memptr=None, strides=None):
        if memptr is None:
            init(self, held, dtype)
            self.memory = self.base.memory if self.base is not None else memory_of(held)
            return
        offset = memptr.ptr - memptr.mem.ptr
        made = np.ndarray.__new__(simulated.SimArray, held, dtype, memptr.mem.bytes, offset, strides)
        init(self, made, None)
        self.memory = memptr.mem

    return make


def pointer(x):
    return MemoryPointer(x.memory, x.held.ctypes.data - x.memory.ptr)


def arrays_in(result):
    items = result if isinstance(result, (tuple, list)) else [result]
    return [r for r in items if isinstance(r, fake_cupy.ndarray) and r.base is None]


def noted(driver, function, in_place=False):
    """A function of CuPy's that, while the current stream is captured, leaves a note of what to do."""

    @wraps(function)
    def call(*args, **options):
        if not driver.capturing():
            return function(*args, **options)
        if in_place or options.get("out") is not None:
            driver.take_note(lambda: function(*args, **options))
            out = options.get("out")
            return out[0] if isinstance(out, tuple) else out
        result = function(*args, **options)  # for its shape
        if made := arrays_in(result):
            driver.take_note(lambda: written(made, arrays_in(function(*args, **options))))
        return result

    return call


def written(made, found):
    for out, result in zip(made, found, strict=True):
        out.held[...] = result.held


def waiting(driver, function):
    """A function that waits for the GPU: no stream can be captured then."""

    @wraps(function)
    def call(*args, **options):
        if driver.capturing():
            driver.stub.stub_invalidate()
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
        return function(*args, **options)

    return call


def looked_up(driver, lookup):
    def look_up(*args):
        value = lookup(*args)
        return noted(driver, value) if callable(value) and not isinstance(value, type) else value

    return look_up


def install(monkeypatch, driver):
    """Give the stand-in pools and streams that can be captured."""
    array = fake_cupy.ndarray
    for name, value in {"MemoryPointer": MemoryPointer, "MemoryPool": MemoryPool}.items():
        monkeypatch.setattr(fake_cupy.cuda, name, value, raising=False)
    monkeypatch.setattr(fake_cupy.cuda, "using_allocator", using_allocator, raising=False)
    monkeypatch.setattr(fake_cupy, "empty", empty)
    monkeypatch.setattr(array, "__init__", initialised(array.__init__))
    monkeypatch.setattr(array, "data", property(pointer))
    monkeypatch.setattr(array, "__getattr__", looked_up(driver, array.__getattr__))
    monkeypatch.setattr(fake_cupy, "__getattr__", looked_up(driver, fake_cupy.__getattr__))
    for name in ("__array_ufunc__", "__array_function__"):
        monkeypatch.setattr(array, name, noted(driver, getattr(array, name)))
    for name in ("__setitem__", "fill"):
        monkeypatch.setattr(array, name, noted(driver, getattr(array, name), in_place=True))
    for owner, name in ((array, "get"), (fake_cupy, "asarray"), (fake_cupy.Device, "synchronize")):
        monkeypatch.setattr(owner, name, waiting(driver, getattr(owner, name)))
