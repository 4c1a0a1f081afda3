"""sort: short rows by a block each; long ones by radix sort, their first elements by a search for the k-th key."""

import numpy as np

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, blocks_for, launches

SHORT, TILE, DIGITS = 2048, 4096, 256


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
    tiles = blocks_for(n, TILE)
    keys, places, more_keys, more_places = (empty_beside(x, x.shape, t) for t in (np.uint32, np.int32) * 2)
    counts = empty_beside(x, (rows, DIGITS, tiles), np.int32)
    yield Launch("sort_forward_keys", blocks_for(x.size, 256), 256, (keys, places, x, x.size, n, descending))
    for shift in (0, 8, 16, 24):
        yield Launch("sort_forward_count", rows * tiles, 256, (counts, keys, n, tiles, shift))
        yield Launch("sort_forward_offsets", rows, 256, (counts, DIGITS * tiles))
        args = (more_keys, more_places, keys, places, counts, n, tiles, shift)
        yield Launch("sort_forward_scatter", rows * tiles, 256, args)
        keys, places, more_keys, more_places = more_keys, more_places, keys, places
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
