"""sort: short rows by a block each; long ones by radix sort, their first elements by a search for the k-th key."""

import numpy as np

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.radix import passes

SHORT = 2048


def power_from(n):
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()


def sorted_rows(y, index, x, descending):
    """The first elements of each row of x, as many as y has."""
    (rows, n), k = x.shape, y.shape[1]
    if not y.size:
        return
    if n <= SHORT:
        size = power_from(n)
        block = min(256, max(32, size // 2))
        yield Launch("sort_forward_short", rows, block, (y, index, x, n, k, size, descending))
        return
    keys, places = empty_beside(x, x.shape, np.uint32), empty_beside(x, x.shape, np.int32)
    yield Launch("sort_forward_keys", blocks_for(x.size, 256), 256, (keys, places, x, x.size, n, descending))
    _, places = yield from passes("sort_forward", keys, places, 32)
    yield Launch("sort_forward_take", blocks_for(y.size, 256), 256, (y, index, x, places, y.size, n, k))


@launches
def sort_forward(y, index, x, descending):
    return sorted_rows(y, index, x, descending)


@launches
def topk_forward(y, index, x, largest):
    (rows, n), k = x.shape, y.shape[1]
    if n > SHORT >= k > 0:
        args = (y, index, x, n, k, power_from(k), largest)
        yield Launch("topk_forward_select", rows, 256, args)
    else:
        yield from sorted_rows(y, index, x, largest)
