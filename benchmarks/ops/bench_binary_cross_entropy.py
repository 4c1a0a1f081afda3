"""binary_cross_entropy: of probabilities, and of logits."""

import numpy as np

from benchmarks.ops import Op


def row(name, shape, values):
    target = lambda rng: rng.integers(0, 2, shape).astype(np.float32)  # noqa: E731
    call = lambda fw, x, t: getattr(fw.nn.functional, name)(x, t)  # noqa: E731
    return Op(name, call, [shape, target], values=values)


ROWS = [
    row(name, shape, values)
    for name, values in (("binary_cross_entropy", (0.1, 0.9)), ("binary_cross_entropy_with_logits", (-2.0, 2.0)))
    for shape in ((2048, 768), (64, 1))
]
