"""simulated: memory of the device "cuda-sim", on which kernels run by simulation.

A `SimArray` is numpy's array in memory of its own: its type is what tells the device, and numpy's functions work on it.
Fresh memory is full of NaN, and so are the zones before and behind it: an output that a kernel forgot, and a write
beyond the end, show.
"""

import math

import numpy as np

DEVICE = "cuda-sim"
GUARD = 4096


class SimArray(np.ndarray):
    """An array on "cuda-sim"; whatever numpy makes from one is one too."""

    def __array_function__(self, func, types, args, kwargs):
        return placed(super().__array_function__(func, types, args, kwargs))


def placed(result):
    """Arrays that are numpy's own, as arrays of this device (sharing memory)."""
    if type(result) is np.ndarray:
        return result.view(SimArray)
    return type(result)(map(placed, result)) if type(result) in (tuple, list) else result


def empty(shape, dtype):
    """An array whose every byte is 0xff (NaN, -1), aligned as a GPU's memory is, between two guards."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = bytearray(b"\xff") * (size + 3 * GUARD)
    begin = -np.frombuffer(memory, np.uint8).ctypes.data % GUARD + GUARD
    return np.ndarray.__new__(SimArray, shape, dtype, memory, begin)


def is_intact(array):
    """Whether nobody wrote into the guards of the memory that `array` lies in."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    if not isinstance(array.base, bytearray):
        return True
    memory = np.frombuffer(array.base, np.uint8)
    begin = array.ctypes.data - memory.ctypes.data
    end = begin + array.nbytes
    return memory[:begin].tobytes().strip(b"\xff") == b"" and memory[end:].tobytes().strip(b"\xff") == b""
