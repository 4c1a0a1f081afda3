"""indexing: places of the elements that an index names, then a copy of what lies there."""

import math

import numpy as np

from minigrad.backend.places import places
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches

simulator.structures["Taken"] = taken_type = np.dtype([("n", "i8"), ("cols", "i8")])


def reach_of(x, index):
    """How many leading dimensions of x are indexed one by one: those that the index names, or all, where the others do
    not lie in C order."""
    from minigrad.ops.indexing import reach_of

    reach = reach_of(x.ndim, index)
    rest = x[(slice(0, 1),) * reach] if x.size else x
    return reach if rest.flags.c_contiguous else x.ndim


def steps_of(x):
    return [s // x.itemsize for s in x.strides]


@launches
def take_forward(y, x, index):
    if not y.size:
        return
    reach = reach_of(x, index)
    found = places(x, x.shape[:reach], index, steps_of(x)[:reach])
    sizes = np.array((found.size, math.prod(x.shape[reach:])), taken_type)
    yield Launch("take_forward", min(blocks_for(y.size, 256), 4096), 256, (y, x, found, sizes))
