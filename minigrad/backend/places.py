"""places: where the elements that an index names lie, as arrays of integers beside the indexed array.

The index is numpy's, with an Ellipsis, over all dimensions of `shape`; what it says is found by indexing arrays of
coordinates, which take no memory of their own.
"""

from minigrad.backend import devices
from minigrad.backend.array import array_module, is_array


def places(like, shape, index, steps=None):
    """For each element of x[index], x of `shape`, the sum of its coordinates times `steps` (its number in C order, if
    left out), as a flat int64 array on the device of `like`.

    Errors: IndexError as numpy's, on a GPU none.
    """
    xp, steps = array_module(like), c_order(shape) if steps is None else steps
    index = tuple(devices.move(i, devices.device_of(like)) if is_array(i) else i for i in index)
    found = xp.broadcast_to(xp.zeros((), "i8"), shape)[index]
    for d, step in enumerate(steps):
        along = xp.arange(shape[d], dtype="i8").reshape(-1, *(1,) * (len(shape) - d - 1))
        found = found + step * xp.broadcast_to(along, shape)[index]
    return devices.move(xp.ascontiguousarray(found).reshape(-1), devices.device_of(like))


def c_order(shape):
    """The steps of an array of `shape` that lies in C order, in elements."""
    steps = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        steps[d] = steps[d + 1] * shape[d + 1]
    return steps
