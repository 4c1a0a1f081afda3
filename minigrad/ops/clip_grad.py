"""clip_grad: the norm of many arrays as of one long vector, and their scaling where it is too large, in place.

    total_norm    norm = sqrt(sum of x² over all arrays)
    clip_norm     x = x min(1, max_norm / (norm + 1e-6))

Both know nothing of a graph: `minigrad.nn.utils.clip_grad_norm_` is what they are for. Kernels: csrc/cpu/clip_grad.cpp.
"""

from minigrad import mutation
from minigrad.backend.array import Arrays, array_module, cast, contiguous, empty_beside
from minigrad.dtypes import HALVES, float32, float64
from minigrad.kernel import kernel


@kernel(key=1)
def total_norm(norm, arrays):
    squares = [(x.astype(float64) ** 2).sum() for x in arrays]
    norm[...] = array_module(norm).sqrt(sum(squares))


@kernel()
def clip_norm(arrays, norm, max_norm):
    factor = max_norm / (norm.astype(float64) + 1e-6)
    for x in arrays:
        x *= array_module(x).minimum(factor, 1)


def _by_dtype(arrays):
    batches = {}
    for x in arrays:
        batches.setdefault(x.dtype, []).append(x)
    return batches.items()


def norm_of(arrays):
    """The norm of all arrays as an array of no dimensions, in float64 if one of them is, else in float32."""
    norms = []
    for dtype, batch in _by_dtype(arrays):
        norms.append(empty_beside(batch[0], (), float32 if dtype in HALVES else dtype))
        total_norm(norms[-1], Arrays(map(contiguous, batch)))
    if len(norms) == 1:
        return norms[0]
    norm = empty_beside(norms[0], (), float64 if any(n.dtype is float64 for n in norms) else float32)
    total_norm(norm, Arrays(cast(n, norm.dtype) for n in norms))
    return norm


def clip_all(op, arrays, norm, max_norm):
    """Scale all arrays in place by one factor, so that what has the norm `norm` has at most `max_norm`."""
    for dtype, batch in _by_dtype(arrays):
        ordered = Arrays(map(contiguous, batch))
        clip_norm(ordered, cast(norm, float32 if dtype in HALVES else dtype), max_norm)
        for x, y in zip(batch, ordered, strict=True):
            if x is not y:
                x[...] = y
    mutation.touch_all(arrays, op)


__all__ = []
