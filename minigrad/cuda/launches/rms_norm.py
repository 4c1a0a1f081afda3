"""rms_norm: rows for y and dx, columns for the gradient of weight."""

from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.cuda.launches.rows import by_rows


@launches
@wide("rstd")
def rms_norm_forward(y, rstd, x, weight, eps):
    yield by_rows("rms_norm_forward", x.shape, y, rstd, x, weight, eps)


@launches
@wide("rstd")
def rms_norm_backward(dx, dw, dy, x, weight, rstd):
    yield by_rows("rms_norm_backward", x.shape, dx, dy, x, weight, rstd)
    if dw is not None:
        args = (dw, dy, x, rstd, *x.shape)
        yield Launch("rms_norm_backward_columns", blocks_for(x.shape[1], 32), (32, 8), args)
