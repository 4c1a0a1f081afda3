"""layer_norm: rows for y and dx, columns for the gradients of weight and bias."""

from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.cuda.launches.rows import by_rows


@launches
@wide("mean", "rstd")
def layer_norm_forward(y, mean, rstd, x, weight, bias, eps):
    yield by_rows("layer_norm_forward", x.shape, y, mean, rstd, x, weight, bias, eps)


@launches
@wide("mean", "rstd")
def layer_norm_backward(dx, dw, db, dy, x, weight, mean, rstd):
    yield by_rows("layer_norm_backward", x.shape, dx, dy, x, weight, mean, rstd)
    if dw is not None or db is not None:
        args = (dw, db, dy, x, mean, rstd, *x.shape)
        yield Launch("layer_norm_backward_columns", blocks_for(x.shape[1], 32), (32, 8), args)
