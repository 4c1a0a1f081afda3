"""simulator: kernels run on the CPU, thread by thread, and their faults as Python exceptions.

    fast    compiled plainly; writes beyond the end of an argument are still found, after the launch
    check   every load and store is looked at: races, missing and divergent barriers, accesses out of bounds, reads of
            shared memory that nobody wrote, wrong alignment; the first fault ends the launch as a `KernelError`

Threads and blocks run in order, in reverse or at random: a kernel that is right gives the same results in each. What
cannot be seen here: timing, bank conflicts, and how a GPU's own functions round (`__expf` is the C library's expf).
"""

import ctypes
import math
import os
import re
import shutil
import struct
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.simulated import DEVICE, SimArray, is_intact
from minigrad.cuda import build
from minigrad.cuda.source import signatures

ORDERS = ("forward", "reverse", "random")
SHARED_LIMIT = 48 << 10  # bytes per block that a launch gets without asking
MOST_SHARED = 227 << 10  # and those that it can ask for, on sm_90


@dataclass(frozen=True)
class Settings:
    """How kernels are simulated: the mode, the order of threads and blocks, the seed of a random one, and a barrier
    that is passed over, as (file, line)."""

    mode: str = os.environ.get("MINIGRAD_CUDA_SIM", "fast")
    order: str = "forward"
    seed: int = 0
    skip: tuple | None = None
    patience: int = 1 << 32

    def __post_init__(self):
        if self.mode not in build.MODES:
            raise ValueError(f"[cuda] unknown mode {self.mode!r}, expected one of {', '.join(build.MODES)}")
        if self.order not in ORDERS:
            raise ValueError(f"[cuda] unknown order {self.order!r}, expected one of {', '.join(ORDERS)}")


settings = Settings()


@contextmanager
def simulate(**changes):
    """Inside the block kernels are simulated with other settings: `mode` ("fast", "check"), `order` ("forward",
    "reverse", "random") and `seed`. `skip=("softmax.cu", 40)` passes over the `__syncthreads` or `__syncwarp` of that
    line: if nothing is reported then, the barrier is not needed, or this run does not show what for. `patience` is the
    number of steps of a block after which mode "check" takes a kernel for endless; Ctrl-C ends one in every mode.

    >>> import minigrad as mg
    >>> with mg.cuda.simulate(mode="check", order="random", seed=1):
    ...     pass
    """
    global settings
    before = settings
    settings = replace(settings, **changes)
    try:
        yield
    finally:
        settings = before


class KernelError(RuntimeError):
    """A fault that the simulator found.

    Attributes:
        kernel, kind: which kernel, and "race", "out of bounds", "uninitialised", "divergent barrier", "deadlock", ...
        file, line: where in its source, None if that is unknown.
        block, thread: indices (x, y, z) of the thread that was caught.
    """

    def __init__(self, message, kernel, kind, file=None, line=None, block=None, thread=None):
        super().__init__(message)
        self.kernel, self.kind, self.file, self.line, self.block, self.thread = kernel, kind, file, line, block, thread


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("base", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("const", ctypes.c_int),
    ]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_char_p), ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3),
        ("dynamic_shared", ctypes.c_size_t), ("max_shared", ctypes.c_size_t),
        ("arguments", ctypes.c_void_p), ("argument_count", ctypes.c_int),
        ("buffers", ctypes.POINTER(_Buffer)), ("buffer_count", ctypes.c_int),
        ("order", ctypes.c_int), ("seed", ctypes.c_uint), ("skipped_file", ctypes.c_char_p),
        ("skipped_line", ctypes.c_int), ("patience", ctypes.c_uint64),
    ]  # fmt: skip


class _Report(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_char * 32), ("message", ctypes.c_char * 1024), ("file", ctypes.c_char * 256),
        ("line", ctypes.c_int), ("code", ctypes.c_uint64 * 2),
        ("block", ctypes.c_uint * 3), ("thread", ctypes.c_uint * 3),
    ]  # fmt: skip


listener: Any = None  # is told of every launch before it: its kernel, what goes to the runtime, sizes of its arguments
_lock = threading.Lock()  # one launch at a time: the runtime's state is global


class Library:
    """The kernels of one file, compiled in one mode."""

    def __init__(self, text, name, mode):
        self.path, self.mode, self.signatures = build.library(text, name, mode), mode, signatures(text)
        machine = ctypes.CDLL(str(self.path))
        self._launch, self._barrier = machine.cuda_sim_launch, machine.cuda_sim_barrier
        self._barrier.restype = ctypes.c_char_p

    def launch(self, kernel, grid, block, args, shared=0, max_shared=SHARED_LIMIT):
        """Run a kernel to its end. `args`: arrays of this device, numbers, None for a null pointer.

        Errors: KernelError for a fault, TypeError and ValueError for arguments that do not fit its parameters.
        """
        values = convert(kernel, self.signatures[kernel].parameters, args)
        touched = list(_arrays(self.signatures[kernel].parameters, args))
        buffers = [_buffer(*row) for row in touched]
        call = _Launch(
            kernel.encode(), _three(grid), _three(block), shared, max_shared, _pointers(values), len(values),
            (_Buffer * len(buffers))(*buffers), len(buffers), ORDERS.index(settings.order), settings.seed,
        )  # fmt: skip
        if settings.skip:
            call.skipped_file, call.skipped_line = settings.skip[0].encode(), settings.skip[1]
        if listener:
            listener(kernel, call, [v.nbytes for v in values])
        call.patience = settings.patience
        report = _Report()
        with _lock:
            failed = self._launch(ctypes.byref(call), ctypes.byref(report))
        if failed:
            error = self._error(kernel, report)
            raise KeyboardInterrupt(str(error)) if error.kind == "interrupted" else error
        if self.mode == "fast":
            _check_guards(kernel, touched)

    def barriers(self):
        """(file, line) of each `__syncthreads` and `__syncwarp` that the last launch came to, in mode "check"."""
        found, line = [], ctypes.c_int()
        while file := self._barrier(len(found), ctypes.byref(line)):
            found.append((file.decode(), line.value))
        return found

    def _error(self, kernel, report):
        message, file, line = report.message.decode(), report.file.decode(), report.line
        for i, code in enumerate(report.code):
            if code:
                lines = source_lines(self.path, code)
                shown = " from ".join(f"{f}:{n}" for f, n in lines)
                message = message.replace(f"@{i}", shown or f"address {code:#x}")
                if i == 0:
                    file, line = lines[0] if lines else (None, None)
        place = (file or None, line or None)
        return KernelError(
            f"[{kernel}] {message}", kernel, report.kind.decode(), *place, tuple(report.block), tuple(report.thread)
        )


@cache
def load(text, name, mode):
    """The library of a kernel file, compiled if that is new."""
    return Library(text, name, mode)


@cache
def load_file(stem, mode, dtype=None):
    """The library of csrc/cuda/<stem>.cu, in its form for a dtype."""
    return load(build.kernel_text(stem, dtype), f"{stem}.cu", mode)


# Arguments -----------------------------------------------------------------------------------------------------------

SCALARS = {
    "float": "f4", "double": "f8", "bool": "?", "int": "i4", "unsigned": "u4", "unsigned int": "u4", "int32_t": "i4",
    "uint32_t": "u4", "long long": "i8", "int64_t": "i8", "unsigned long long": "u8", "uint64_t": "u8", "size_t": "u8",
}  # fmt: skip
ELEMENTS = SCALARS | {
    "bool": "b1u1", "unsigned char": "b1u1", "uint8_t": "b1u1", "signed char": "i1", "int8_t": "i1", "short": "i2",
    "half": "f2", "__half": "f2", "half2": "f2", "__half2": "f2", "__nv_bfloat16": "V2", "__nv_bfloat162": "V2",
    **{f"float{n}": "f4" for n in (2, 3, 4)}, **{f"int{n}": "i4" for n in (2, 3, 4)},
}  # fmt: skip


class Struct(NamedTuple):
    """A struct that holds addresses: its value, and (name, array, whether it is only read) of what they lead to."""

    value: Any
    arrays: Any


structures: dict = {}  # by the name of a struct that kernels take by value: its numpy dtype


LETTERS = {"i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d"}  # of Python's `struct`


class structure:
    """A struct that kernels take by value, from its fields as numpy writes them: `pack(*values)` gives its bytes."""

    def __init__(self, name, fields):
        self.dtype = structures[name] = np.dtype(fields, align=True)
        self.pack = struct.Struct("<" + "".join(_codes(self.dtype))).pack


def _codes(dtype):
    """A struct's fields, one after the other, with what lies between them."""
    end = 0
    for field, offset, *_ in dtype.fields.values():
        base, count = field.base, math.prod(field.shape)
        yield f"{offset - end}x" + (
            f"{count}{LETTERS[base.str[1:]]}" if base.fields is None else "".join(_codes(base)) * count
        )
        end = offset + field.itemsize
    yield f"{dtype.itemsize - end}x"


def convert(kernel, parameters, args):
    """The arguments as 0-dim arrays of the declared types: pointers as addresses.

    A kernel that takes a struct among its parameters is told of strides by it: its arrays need not be contiguous.
    """
    if len(args) != len(parameters):
        raise TypeError(f"[{kernel}] found {len(args)} arguments, expected {', '.join(p.name for p in parameters)}")
    strided = any(p.ctype in structures for p in parameters)
    pairs = zip(parameters, args, strict=True)
    return [_pointer(kernel, p, a, strided) if p.pointer else number(kernel, p, a) for p, a in pairs]


def _pointer(kernel, parameter, array, strided):
    if array is None:
        return np.array(0, np.uint64)
    what = f"[{kernel}] argument {parameter.name}"
    if not isinstance(array, SimArray):
        raise TypeError(f"{what} is {_kind(array)}, expected an array on {DEVICE}")
    check_elements(what, parameter, array, strided)
    return np.array(array.ctypes.data, np.uint64)  # of the first element: steps may lead to both sides of it


def check_elements(what, parameter, array, strided):
    """Raise unless an array has the elements that a pointer is declared for, one behind the other or `strided`."""
    expected = ELEMENTS.get(parameter.ctype)
    if expected and array.dtype.str[1:] not in expected and f"{array.dtype.kind}{array.dtype.itemsize}" not in expected:
        raise TypeError(f"{what} is an array of {array.dtype}, expected {parameter.ctype}")
    if not (array.flags.c_contiguous or strided):
        raise ValueError(f"{what} has strides {array.strides}, expected contiguous memory")


def _kind(value):
    return f"an array on cpu of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def number(kernel, parameter, value):
    value = value.value if isinstance(value, Struct) else value
    dtype = structures.get(parameter.ctype) or SCALARS.get(parameter.ctype)
    if dtype is None:
        raise TypeError(f"[{kernel}] parameter {parameter.name} has type {parameter.ctype}, which cannot be passed")
    try:
        return np.frombuffer(value, dtype).reshape(()) if type(value) is bytes else np.array(value, dtype)
    except (OverflowError, TypeError, ValueError):
        raise TypeError(f"[{kernel}] argument {parameter.name} is {value!r}, expected {parameter.ctype}") from None


def _pointers(values):
    array = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
    return ctypes.cast(array, ctypes.c_void_p)


def _arrays(parameters, args):
    """(name, array, whether it is only read) of all memory that a kernel may touch."""
    for p, a in zip(parameters, args, strict=True):
        if isinstance(a, Struct):
            yield from a.arrays
        elif p.pointer and a is not None:
            yield p.name, a, p.const


def _buffer(name, array, const):
    begin, end = (array.ctypes.data, array.ctypes.data + array.nbytes)
    if not array.flags.c_contiguous:
        begin, end = np.lib.array_utils.byte_bounds(array)
    return _Buffer(begin, end - begin, name.encode(), const)


def _three(sizes):
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return (ctypes.c_uint * 3)(*sizes, *[1] * (3 - len(sizes)))


def _check_guards(kernel, touched):
    for name, array, const in touched:
        if not const and not is_intact(array):
            message = f"[{kernel}] wrote outside of `{name}`; in mode 'check' the line is named"
            raise KernelError(message, kernel, "out of bounds")


# Lines ---------------------------------------------------------------------------------------------------------------


@cache
def source_lines(library, code):
    """[(file, line), ...] of a return address: the line itself, then those that the functions inlined there were called
    from; empty if the system has no `addr2line`."""
    tool = shutil.which("addr2line")
    if tool is None:
        return []
    command = [tool, "-i", "-e", str(library), hex(code - 1)]
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    places = [(Path(f).name, int(n)) for f, n in re.findall(r"^(.+):(\d+)", out, re.MULTILINE)]
    own = {p.name for p in (build.sources() / "cuda_sim").rglob("*.h")}
    return [place for place in places if place[0] not in own and place[1]]
