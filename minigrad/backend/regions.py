"""regions: which memory an array lies in, on any device, and arrays that are made anew in it.

The root of an array is what holds its memory: a buffer of the pool, the array that is nobody's view, or CuPy's memory.
A region is some of it: bytes as an array on the CPU and the simulator, a pointer of CuPy's on the GPU.
"""

import ctypes

import numpy as np

from minigrad.backend import devices, gpu, simulated
from minigrad.backend.array import empty, owner

uint8 = np.dtype(np.uint8)


def root_of(a):
    """The object that holds the memory of `a`."""
    if not isinstance(a, np.ndarray):
        return a.data.mem
    a = owner(a)
    return a.base if hasattr(a.base, "serial") else a


def address_of(a):
    """Where the first element of `a` lies."""
    return a.__array_interface__["data"][0] if isinstance(a, np.ndarray) else a.data.ptr


def extent(a):
    """The first address and the number of bytes of an array or a root."""
    if hasattr(a, "serial"):
        return a.address, a.bytes
    if not isinstance(a, devices.array_types):
        return a.ptr, a.size
    if not a.size:
        return address_of(a), 0
    ends = [(n - 1) * step for n, step in zip(a.shape, a.strides, strict=True)]
    low, high = sum(e for e in ends if e < 0), sum(e for e in ends if e > 0)
    return address_of(a) + low, high - low + a.itemsize


def region(root, device, address, nbytes):
    """All the memory of a root, which must outlive the region."""
    if device == devices.CUDA:
        return gpu.cupy.cuda.MemoryPointer(root, 0)
    memory = np.frombuffer((ctypes.c_char * nbytes).from_address(address), uint8)
    return memory if device == devices.CPU else memory.view(simulated.SimArray)


def arena(device, nbytes):
    """New memory: (what to hold, its region)."""
    with devices.on(device):
        memory = empty((nbytes,), uint8)
    return memory, memory.data if device == devices.CUDA else memory


def part(whole, offset, nbytes):
    """Some bytes of a region."""
    return whole[offset : offset + nbytes] if isinstance(whole, np.ndarray) else whole + offset


def array_in(memory, place):
    """The array of a place in a region."""
    if not isinstance(memory, np.ndarray):
        return gpu.cupy.ndarray(place.shape, place.dtype, memory + place.offset, place.strides)
    return np.ndarray.__new__(type(memory), place.shape, place.dtype, memory, place.offset, place.strides)
