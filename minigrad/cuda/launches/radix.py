"""radix: the passes of a radix sort of pairs (radix.cuh), in kernels that want one."""

import numpy as np

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, blocks_for

TILE, DIGITS, BITS = 4096, 256, 8


def passes(name, keys, places, bits):
    """Sorts by so many bits of the keys, by the entry points `<name>_count`, .. of a file; gives the sorted pairs."""
    (rows, n), more = keys.shape, (empty_beside(keys, keys.shape, keys.dtype), empty_beside(keys, keys.shape, np.int32))
    tiles = blocks_for(n, TILE)
    counts = empty_beside(keys, (rows, DIGITS, tiles), np.int32)
    for shift in range(0, bits, BITS):
        yield Launch(f"{name}_count", rows * tiles, DIGITS, (counts, keys, n, tiles, shift))
        yield Launch(f"{name}_offsets", rows, 256, (counts, DIGITS * tiles))
        yield Launch(f"{name}_scatter", rows * tiles, 256, (*more, keys, places, counts, n, tiles, shift))
        (keys, places), more = more, (keys, places)
    return keys, places
