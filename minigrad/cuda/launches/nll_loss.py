"""nll_loss: a thread for each target, chunks of them where one loss is wanted; back a thread for each element."""

from minigrad.backend.array import empty_beside
from minigrad.backend.checks import check_targets
from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.dtypes import float64

CHUNK = 1 << 12


@launches
@wide("count")
def nll_loss_forward(loss, count, x, target, weight, ignore_index):
    _, classes, inner = x.shape
    check_targets("nll_loss", target, classes, ignore_index)
    args = (x, target, weight, ignore_index, target.size, classes, inner)
    if count is None and loss.size == target.size:
        yield Launch("nll_loss_forward_each", blocks_for(target.size, 256), 256, (loss, *args))
        return
    chunks = blocks_for(target.size, CHUNK)
    losses, weights = empty_beside(x, (chunks,), float64), empty_beside(x, (chunks,), float64)
    yield Launch("nll_loss_forward_chunks", chunks, 256, (losses, weights, *args, CHUNK))
    yield Launch("nll_loss_forward_total", 1, 256, (loss, count, losses, weights, chunks))


@launches
@wide("count")
def nll_loss_backward(dx, dy, count, target, weight, ignore_index):
    _, classes, inner = dx.shape
    step = int(dy.size == target.size and count is None)
    args = (dx, dy, count, target, weight, ignore_index, dx.size, classes, inner, step)
    yield Launch("nll_loss_backward", blocks_for(dx.size, 256), 256, args)
