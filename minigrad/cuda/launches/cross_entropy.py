"""cross_entropy: a warp for each row; then one block adds up what the rows found."""

from minigrad.backend.array import empty_beside
from minigrad.backend.checks import check_targets
from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK
from minigrad.dtypes import float64


@launches
@wide("lse", "count")
def cross_entropy_forward(loss, lse, count, x, target, weight, ignore_index, smoothing):
    rows, classes = x.shape
    check_targets("cross_entropy", target, classes, ignore_index)
    losses, weights = empty_beside(x, (rows,), float64), empty_beside(x, (rows,), float64)
    args = (losses, weights, lse, x, target, weight, ignore_index, smoothing, rows, classes)
    yield Launch("cross_entropy_forward_rows", blocks_for(rows, ROWS_PER_BLOCK), 32 * ROWS_PER_BLOCK, args)
    if count is None and loss.size == rows:
        yield Launch("cross_entropy_forward_each", blocks_for(rows, 256), 256, (loss, losses, rows))
    else:
        yield Launch("cross_entropy_forward_total", 1, 256, (loss, count, losses, weights, rows))


@launches
@wide("lse", "count")
def cross_entropy_backward(dx, dy, count, x, lse, target, weight, ignore_index, smoothing):
    rows, classes = x.shape
    step = int(dy.size == rows and count is None)
    args = (dx, dy, count, x, lse, target, weight, ignore_index, smoothing, rows, classes, step)
    yield Launch("cross_entropy_backward", blocks_for(rows, ROWS_PER_BLOCK), 32 * ROWS_PER_BLOCK, args)
