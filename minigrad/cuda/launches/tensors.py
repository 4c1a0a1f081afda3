"""tensors: many arrays in one launch: the value of a `Tensors`, and how its blocks are shared out (tensors.cuh)."""

from itertools import accumulate

from minigrad.backend.devices import address
from minigrad.cuda import simulator
from minigrad.cuda.launches import blocks_for

TENSORS, LISTS, CHUNK, THREADS = 48, 5, 4096, 256
FIELDS = [("count", "i4"), ("first", "i4", TENSORS + 1), ("sizes", "i8", TENSORS), ("lists", "u8", (LISTS, TENSORS))]
tensors_type = simulator.structure("Tensors", FIELDS)
NONE = [0] * TENSORS


class Touched:
    """What the addresses lead to, as `simulator.Struct` has it; the first `written` lists are outputs."""

    def __init__(self, lists, written):
        self.lists, self.written = lists, written

    def __iter__(self):
        for j, arrays in enumerate(self.lists):
            yield from ((f"list {j} [{i}]", a, j >= self.written) for i, a in enumerate(arrays or ()))


def batches(written, *lists):
    """(blocks, a `Tensors`) for every batch of arrays. `lists`: of arrays, or None; the first `written` are outputs."""
    for begin in range(0, len(lists[0]), TENSORS):
        batch = [None if x is None else x[begin : begin + TENSORS] for x in lists]
        blocks, value = packed(batch)
        yield blocks, simulator.Struct(value, Touched(batch, written))


def packed(lists):
    sizes = [a.size for a in lists[0]]
    first = list(accumulate((blocks_for(n, CHUNK) for n in sizes), initial=0))
    rest = NONE[len(sizes) :]
    addresses = [([address(a) for a in arrays] + rest) if arrays is not None else NONE for arrays in lists]
    addresses += [NONE] * (LISTS - len(lists))
    values = [len(sizes), *first, *([first[-1]] * len(rest)), *sizes, *rest]
    return first[-1], tensors_type.pack(*values, *(a for row in addresses for a in row))
