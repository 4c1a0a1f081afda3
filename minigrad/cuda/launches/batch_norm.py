"""batch_norm: a block for each channel's sums, then a thread for each element."""

from minigrad.backend.array import cast, empty_like
from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.dtypes import HALVES, float32


@launches
@wide("mean", "var")
def batch_norm_forward(y, mean, var, x, weight, bias, eps):
    yield Launch("batch_norm_forward_statistics", x.shape[1], 256, (mean, var, x, *x.shape))
    yield from batch_norm_apply(y, x, mean, var, weight, bias, eps)


@launches
@wide("mean", "var")
def batch_norm_apply(y, x, mean, var, weight, bias, eps):
    mean, var = (cast(a, float32) if a.dtype in HALVES else a for a in (mean, var))  # running ones may be halves
    args = (y, x, mean, var, weight, bias, eps, x.size, *x.shape[1:])
    yield Launch("batch_norm_apply", blocks_for(x.size, 256), 256, args)


@launches
@wide("mean", "var")
def batch_norm_backward(dx, dw, db, dy, x, weight, mean, var, eps):
    across, along = empty_like(mean), empty_like(mean)
    yield Launch("batch_norm_backward_sums", x.shape[1], 256, (across, along, dw, db, dy, x, mean, var, eps, *x.shape))
    args = (dx, dy, x, weight, mean, var, across, along, eps, x.size, *x.shape[1:])
    yield Launch("batch_norm_backward_input", blocks_for(x.size, 256), 256, args)


@launches
def batch_norm_track(running_mean, running_var, mean, var, momentum, correction):
    args = (running_mean, running_var, mean, var, momentum, correction, mean.size)
    yield Launch("batch_norm_track", blocks_for(mean.size, 256), 256, args)
