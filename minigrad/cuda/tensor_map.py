"""tensor_map: what a kernel is told of an array that boxes are copied from (TMA): a struct of 128 bytes, which on a GPU
the driver makes, from `cuTensorMapEncodeTiled` of libcuda, called through ctypes. On the simulator it is the numbers
themselves. The call was never made on a GPU: none was at hand.
"""

import ctypes
from functools import cache, lru_cache

import numpy as np

from minigrad.backend import devices, simulated
from minigrad.cuda import simulator

simulator.structures["TensorMap"] = map_type = np.dtype([("words", "u8", 16)])
BOX, ELEMENT = 64, 2  # elements each way, bytes of each: rows of 128 bytes, whose chunks of 16 change places
ALIGN = 16  # bytes, of the array and of its rows


def fits(array):
    """Whether boxes can be copied from an array: rows that begin at multiples of 16 bytes, and something in them."""
    whole = array.size > 0 and array.shape[-1] * ELEMENT % ALIGN == 0 and devices.address(array) % ALIGN == 0
    return whole and (devices.device_of(array) == simulated.DEVICE or driver() is not None)


def tensor_map(array):
    """The struct for boxes of 64 x 64 of contiguous matrices (rows, columns) or (batch, rows, columns)."""
    batch, rows, columns = array.shape if array.ndim == 3 else (1, *array.shape)
    sizes, steps = (columns, rows, batch), (columns * ELEMENT, rows * columns * ELEMENT)
    if devices.device_of(array) == simulated.DEVICE:
        words = [devices.address(array), *sizes, *steps, BOX, BOX, ELEMENT] + [0] * 7
        value = np.array((words,), map_type)
    else:
        value = encoded(devices.address(array), sizes, steps, array.dtype.name)
    return simulator.Struct(value, [("boxes", array, True)])


# On a GPU ------------------------------------------------------------------------------------------------------------

DATA_TYPES = {"float16": 6, "bfloat16": 9}  # CUtensorMapDataType, and below other constants of cuda.h
NO_INTERLEAVE, SWIZZLE_128B, L2_PROMOTION_128B, ZEROS_OUTSIDE = 0, 3, 2, 0


@cache
def driver():
    """libcuda, or None where it is not there."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


@lru_cache(4096)
def encoded(address, sizes, steps, dtype):
    """The driver's struct for boxes of 64 x 64. Errors: RuntimeError with its number where it refuses."""
    memory = (ctypes.c_uint64 * 24)()  # 128 bytes that begin at a multiple of 64
    begin = -ctypes.addressof(memory) % 64
    status = driver().cuTensorMapEncodeTiled(
        ctypes.c_void_p(ctypes.addressof(memory) + begin), DATA_TYPES[dtype], 3, ctypes.c_void_p(address),
        (ctypes.c_uint64 * 3)(*sizes), (ctypes.c_uint64 * 2)(*steps), (ctypes.c_uint32 * 3)(BOX, BOX, 1),
        (ctypes.c_uint32 * 3)(1, 1, 1), NO_INTERLEAVE, SWIZZLE_128B, L2_PROMOTION_128B, ZEROS_OUTSIDE,
    )  # fmt: skip
    if status:
        raise RuntimeError(f"[cuda] the driver refused boxes of an array of {sizes} elements: error {status}")
    return np.frombuffer(bytes(memory)[begin : begin + 128], map_type)[0]
