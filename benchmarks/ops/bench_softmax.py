"""softmax and log_softmax: over the last dimension, and over the first."""

from benchmarks.ops import Op


def row(name, dim, shape):
    return Op(f"{name}({dim})", lambda fw, x: getattr(fw, name)(x, dim), [shape])


ROWS = [row(name, -1, shape) for name in ("softmax", "log_softmax") for shape in ((2048, 1000), (64, 10))]
ROWS += [row("softmax", -1, (8, 4, 128, 128)), row("softmax", 0, (1000, 512))]
