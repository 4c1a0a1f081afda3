"""index_put: rows claim their places where an index can name one twice, then they are written."""

import math

import numpy as np

from minigrad.backend.array import array_module, contiguous, empty_beside, is_array
from minigrad.backend.places import places
from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.indexing import reach_of, steps_of

simulator.structures["Written"] = written_type = np.dtype([("n", "i8"), ("cols", "i8")])


def spread(v, shape):
    """v in C order in that shape. Errors: ValueError if it does not fit."""
    while v.ndim > len(shape) and v.shape[0] == 1:
        v = v[0]
    return contiguous(array_module(v).broadcast_to(v, shape))


@launches
def put_forward(x, v, index):
    from minigrad.ops.indexing import shape_of

    v, reach = spread(v, shape_of(x.shape, index)), reach_of(x, index)
    found = places(x, x.shape[:reach], index, steps_of(x)[:reach])
    if not v.size:
        return
    n, numbers, owners = found.size, None, None
    if any(is_array(i) and i.dtype.kind != "b" for i in index):
        numbers = places(x, x.shape[:reach], index)
        owners = empty_beside(x, (math.prod(x.shape[:reach]),), np.int64)
        owners.fill(-1)
        yield Launch("put_forward_claim", blocks_for(n, 256), 256, (owners, numbers, n))
    sizes = np.array((n, math.prod(x.shape[reach:])), written_type)
    args = (x, v, found, numbers, owners, sizes)
    yield Launch("put_forward", min(blocks_for(v.size, 256), 4096), 256, args)
