"""clip_grad: squares by chunks of all arrays, then their sum; the scaling."""

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import Launch, launches, wide
from minigrad.cuda.launches.tensors import THREADS, batches
from minigrad.dtypes import float64


@launches
@wide("norm")
def total_norm(norm, arrays):
    plan = list(batches(0, arrays))
    count = sum(blocks for blocks, _ in plan)
    parts, begin = empty_beside(norm, (count,), float64), 0
    for blocks, tensors in plan:
        yield Launch("total_norm_chunks", blocks, THREADS, (parts, tensors, begin))
        begin += blocks
    yield Launch("total_norm_total", 1, THREADS, (norm, parts, count))


@launches
@wide("norm")
def clip_norm(arrays, norm, max_norm):
    for blocks, tensors in batches(1, arrays):
        yield Launch("clip_norm", blocks, THREADS, (tensors, norm, max_norm))
