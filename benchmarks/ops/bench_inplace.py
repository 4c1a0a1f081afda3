"""inplace: copies between layouts, and sums into an existing tensor."""

from benchmarks.ops import Op, Step


def copy(fw, rows, cols):
    x, y = fw.ones(rows, cols), fw.zeros(rows, cols)
    return lambda: y.copy_(x)


def copy_transposed(fw, rows, cols):
    x, y = fw.ones(cols, rows).T, fw.zeros(rows, cols)
    return lambda: y.copy_(x)


def add(fw, rows, cols):
    x, y = fw.ones(rows, cols), fw.zeros(rows, cols)
    return lambda: y.add_(x)


ROWS = [
    Step(f"{name} {rows}x{cols}", lambda fw, make=make, shape=(rows, cols): make(fw, *shape), moved * rows * cols)
    for name, make, moved in (("copy_", copy, 2), ("copy_ of a transpose", copy_transposed, 2), ("add_", add, 3))
    for rows, cols in ((2048, 768), (64, 256))
]
ROWS += [Op("contiguous of a transpose", lambda fw, x: x.transpose(1, 2).contiguous(), [(16, 128, 6, 32)])]
