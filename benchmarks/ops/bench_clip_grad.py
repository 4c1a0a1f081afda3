"""clip_grad: clip_grad_norm_ over the MLP's gradients and over one large one; every call shortens them a little."""

import itertools

from benchmarks.ops import Step

MLP = [(256, 784), (256,), (128, 256), (128,), (10, 128), (10,)]


def make(shapes):
    def of(fw):
        parameters = [fw.zeros(*shape).requires_grad_() for shape in shapes]
        for p in parameters:
            p.grad = fw.ones(*p.shape)
        bounds = (1e3 / (1 + i / 1000) for i in itertools.count())
        return lambda: fw.nn.utils.clip_grad_norm_(parameters, next(bounds))

    return of


# floats moved: the gradients are read for their norm, read again and written
ROWS = [
    Step("clip_grad_norm_, the MLP's 235k in 6", make(MLP), 3 * 235146),
    Step("clip_grad_norm_, 10M in 1", make([(10_000_000,)]), 30_000_000),
    Step("clip_grad_norm_, 1k in 4", make([(50, 10), (50,), (10, 50), (10,)]), 3 * 1060),
]
