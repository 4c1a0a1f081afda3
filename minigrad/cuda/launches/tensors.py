"""tensors: many arrays in one launch: the value of a `Tensors`, and how its blocks are shared out (tensors.cuh)."""

import numpy as np

from minigrad.backend.devices import address
from minigrad.cuda import simulator
from minigrad.cuda.launches import blocks_for

TENSORS, LISTS, CHUNK, THREADS = 48, 5, 4096, 256
FIELDS = [("count", "i4"), ("first", "i4", TENSORS + 1), ("sizes", "i8", TENSORS), ("lists", "u8", (LISTS, TENSORS))]
simulator.structures["Tensors"] = tensors_type = np.dtype(FIELDS, align=True)


def batches(written, *lists):
    """(blocks, a `Tensors`) for every batch of arrays. `lists`: of arrays, or None; the first `written` are outputs."""
    for begin in range(0, len(lists[0]), TENSORS):
        batch = [None if x is None else x[begin : begin + TENSORS] for x in lists]
        blocks, value = packed(batch)
        arrays = [(f"list {j} [{i}]", a, j >= written) for j, x in enumerate(batch) for i, a in enumerate(x or ())]
        yield blocks, simulator.Struct(value, arrays)


def packed(lists):
    value = np.zeros((), tensors_type)
    sizes = [a.size for a in lists[0]]
    first = np.cumsum([0, *(blocks_for(n, CHUNK) for n in sizes)])
    value["count"], value["sizes"][: len(sizes)] = len(sizes), sizes
    value["first"][: len(first)], value["first"][len(first) :] = first, first[-1]
    for j, arrays in enumerate(lists):
        if arrays is not None:
            value["lists"][j, : len(arrays)] = [address(a) for a in arrays]
    return int(first[-1]), value
