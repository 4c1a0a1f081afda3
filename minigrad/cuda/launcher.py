"""launcher: entry points of kernel files as functions `start(grid, block, args, shared=0)` on CuPy's current stream.

By the driver itself where the extension `minigrad._driver` was built (csrc/driver; a launch there makes no object and
converts nothing), else by CuPy: slower, and no different in what it does. `MINIGRAD_LAUNCHER=cupy` asks for CuPy's.
"""

import os
import sys
from functools import cache

import numpy as np

from minigrad import dtypes
from minigrad.backend import devices, gpu
from minigrad.cuda import simulator
from minigrad.cuda.cubin import cubin
from minigrad.cuda.source import signatures

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
CODES = {"f4": "f", "f8": "d", "?": "?", "i4": "i", "u4": "I", "i8": "l", "u8": "L"}


@cache
def native():
    """The extension with the driver open, or None where one of them is missing."""
    try:
        from minigrad import _driver

        if os.environ.get("MINIGRAD_LAUNCHER") == "cupy":
            return None
        _driver.open(DRIVER)
    except (ImportError, RuntimeError):
        return None
    cupy = gpu.load()
    _driver.configure(cupy.ndarray, cupy.cuda.get_current_stream, attach)
    return _driver


def attach():
    """Give this thread the context of the GPU in use: a thread that only ever launched has none."""
    cupy = gpu.load()
    cupy.cuda.Device().use()
    cupy.cuda.runtime.memGetInfo()


def forget():
    """Look for the driver, and load every kernel, anew."""
    for found in (native, starter, _module, _loaded):
        found.cache_clear()


@cache
def starter(text, name, entry):
    """What starts an entry point of the source `text`; `name` is what messages call it."""
    arguments = Arguments(entry, _signatures(text)[entry].parameters)
    if native() is None:
        return CupyKernel(text, name, arguments)
    return native().Kernel(
        entry,
        tuple(map(arguments.row, arguments.parameters)),
        lambda device: native().find(_loaded(text, name, device), entry),
        arguments.slow,
    )


_signatures = cache(signatures)  # a file is read through once, not for each of its kernels


def _image(text, name, device):
    return cubin(text, name, gpu.load().cuda.Device(device).compute_capability).path


@cache
def _loaded(text, name, device):
    return native().load(_image(text, name, device).read_bytes())


class Arguments:
    """The parameters of an entry point, and what its arguments must be."""

    def __init__(self, entry, parameters):
        self.entry, self.parameters = entry, parameters
        self.strided = any(p.ctype in simulator.structures for p in parameters)

    def row(self, p):
        """How the extension is to pack a parameter: its code, a struct's bytes, whether steps are free, dtypes."""
        if p.pointer:
            return "p", 8, self.strided, elements(p)
        if p.ctype in simulator.structures:
            return "s", simulator.structures[p.ctype].itemsize, False, ()
        return CODES[simulator.SCALARS[p.ctype]], 0, False, ()

    def slow(self, i, value):
        """The bytes of argument i, which was not what its parameter takes as it is. Errors: TypeError, ValueError."""
        if i < 0:
            raise TypeError(
                f"[{self.entry}] found {len(value)} arguments, expected {', '.join(p.name for p in self.parameters)}"
            )
        return self.value(self.parameters[i], value).tobytes()

    def value(self, p, value):
        """An argument as an array without dimensions, of the declared type."""
        if not p.pointer:
            return simulator.number(self.entry, p, value)
        if value is None:
            return np.array(0, np.uint64)
        what = f"[{self.entry}] argument {p.name}"
        if devices.device_of(value) != gpu.DEVICE:
            raise TypeError(f"{what} lies on {devices.device_of(value)}, expected a GPU")
        simulator.check_elements(what, p, value, self.strided)
        return np.array(devices.address(value), np.uint64)


def elements(p):
    """The dtypes that an array for a pointer may have, () for all."""
    known = simulator.ELEMENTS.get(p.ctype)
    fitting = (d for d in dtypes.ALL if known and (d.str[1:] in known or f"{d.kind}{d.itemsize}" in known))
    return tuple(fitting) or ((None,) if known else ())


# By CuPy -------------------------------------------------------------------------------------------------------------


class CupyKernel:
    """The same as the extension's kernels, by way of CuPy."""

    def __init__(self, text, name, arguments):
        self.text, self.name, self.arguments, self.functions = text, name, arguments, {}

    def __call__(self, grid, block, args, shared=0):
        grid, parameters = _three(grid), self.arguments.parameters
        if len(args) != len(parameters):
            self.arguments.slow(-1, args)
        values = tuple(self.arguments.value(p, a) for p, a in zip(parameters, args, strict=True))
        if min(grid) > 0:
            self.function(shared)(grid, _three(block), values, shared_mem=shared)

    def function(self, shared):
        """CuPy's function on the GPU in use, which gets at least `shared` bytes where it asks for many."""
        device = gpu.load().cuda.Device().id
        if device not in self.functions:
            self.functions[device] = _module(self.text, self.name, device).get_function(self.arguments.entry), 0
        function, most = self.functions[device]
        if shared > max(most, simulator.SHARED_LIMIT):
            function.max_dynamic_shared_size_bytes = shared
            self.functions[device] = function, shared
        return function


@cache
def _module(text, name, device):
    return gpu.load().RawModule(path=str(_image(text, name, device)))


def _three(sizes):
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return sizes + (1,) * (3 - len(sizes))
