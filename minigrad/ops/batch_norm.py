"""batch_norm: y = (x - mean) / sqrt(var + eps) w + b, mean and var of each channel over the batch and all positions

    xhat = (x - mean) rstd, rstd = 1 / sqrt(var + eps), m = number of values of a channel
    dx = w rstd (dy - db / m - xhat dw / m)        dw = sum dy xhat        db = sum dy

In evaluation the running statistics take the place of the batch's and are constants. Kernels: csrc/cpu/batch_norm.cpp, on
(n, c, positions). Saved for backward: x, w, mean, var.
"""

import math

from minigrad import mutation
from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, empty_like
from minigrad.dtypes import float64
from minigrad.kernel import kernel
from minigrad.ops.layer_norm import check_affine, check_float_input
from minigrad.tensor import wrap


def _channels(v):
    return v[None, :, None]


def _normalised(x, mean, var, weight, bias, eps):
    out = (x - _channels(mean)) / array_module(x).sqrt(_channels(var) + eps)
    out = out if weight is None else out * _channels(weight)
    return out if bias is None else out + _channels(bias)


@kernel(outs=3)
def batch_norm_forward(y, mean, var, x, weight, bias, eps):
    wide = x.astype(float64)
    center = wide.mean((0, 2))
    spread = ((wide - _channels(center)) ** 2).mean((0, 2))
    y[...] = _normalised(wide, center, spread, weight, bias, eps)
    mean[...], var[...] = center, spread


@kernel()
def batch_norm_apply(y, x, mean, var, weight, bias, eps):
    y[...] = _normalised(x.astype(float64), mean.astype(float64), var.astype(float64), weight, bias, eps)


@kernel(outs=3)
def batch_norm_backward(dx, dw, db, dy, x, weight, mean, var, eps):
    rstd = 1 / array_module(x).sqrt(var.astype(float64) + eps)
    xhat = (x.astype(float64) - _channels(mean)) * _channels(rstd)
    total, scaled = dy.sum((0, 2), dtype=float64), (dy * xhat).sum((0, 2))
    m = max(1, x.shape[0] * x.shape[2])
    scale = rstd if weight is None else rstd * weight
    dx[...] = _channels(scale) * (dy - _channels(total / m) - xhat * _channels(scaled / m))
    if dw is not None:
        dw[...] = scaled
    if db is not None:
        db[...] = total


def _cubed(x):
    """(n, c, positions), in C order."""
    return contiguous(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


class BatchNorm(Op):
    """With the statistics of the batch, which are written into `mean` and `var`."""

    def forward(self, x, weight, bias, mean, var, eps):
        cube = _cubed(x)
        y = empty_like(cube)
        batch_norm_forward(y, mean, var, cube, weight, bias, eps)
        self.saved, self.shape, self.eps = (cube, weight, mean, var), x.shape, eps
        return y.reshape(x.shape)

    def backward(self, dy):
        cube, weight, mean, var = self.saved
        dx = empty_like(cube)
        dw, db = (empty_like(mean) if self.needs(i) else None for i in (1, 2))
        batch_norm_backward(dx, dw, db, _cubed(dy), cube, weight, mean, var, self.eps)
        return dx.reshape(self.shape), dw, db

    def composed(self, x, weight, bias, mean, var, eps):
        dims = tuple(d for d in range(x.ndim) if d != 1)
        centered = x - x.mean(dims, True)
        return _affine(centered / ((centered * centered).mean(dims, True) + eps).sqrt(), weight, bias)


class BatchNormApply(Op):
    """With given statistics, which are constants."""

    def forward(self, x, weight, bias, mean, var, eps):
        y = empty_like(_cubed(x))
        batch_norm_apply(y, _cubed(x), mean, var, weight, bias, eps)
        return y.reshape(x.shape)

    def composed(self, x, weight, bias, mean, var, eps):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return _affine((x - mean.reshape(shape)) / (var + eps).sqrt().reshape(shape), weight, bias)

    def backward(self, dy):
        return [None if g is None else g.array for g in self.gradient(wrap(dy))]


def _affine(x, weight, bias):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _move(running, batch, momentum):
    """Running statistics a step towards the batch's."""
    if running is not None:
        running.array[...] = (1 - momentum) * running.array + momentum * batch
        mutation.touch(running.array, "batch_norm")


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel

    Args:
        input (Tensor): (N, C, ...), floating.
        running_mean, running_var (Tensor (C,) or None): used in evaluation; in training moved towards the batch's mean and
            unbiased variance: running = (1 - momentum) running + momentum batch.
        weight, bias (Tensor (C,), optional).
        training (bool): use the batch's statistics (biased variance).

    Errors: ValueError for one value per channel in training; RuntimeError for shapes that do not fit.
    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015.

    >>> import minigrad as mg
    >>> mg.nn.functional.batch_norm(mg.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    check_float_input("batch_norm", input)
    if input.ndim < 2:
        raise RuntimeError(f"[batch_norm] input has shape {input.shape}, expected (N, C, ...)")
    check_affine("batch_norm", input.shape[1:2], input, weight=weight, bias=bias)
    check_affine("batch_norm", input.shape[1:2], input, running_mean=running_mean, running_var=running_var)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("[batch_norm] evaluation needs running_mean and running_var, found None")
        return BatchNormApply.apply(input, weight, bias, running_mean.detach(), running_var.detach(), float(eps))
    count = input.shape[0] * math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"[batch_norm] expected more than 1 value per channel when training, found shape {input.shape}"
        )
    mean, var = (empty(input.shape[1:2], input.dtype) for _ in range(2))
    y = BatchNorm.apply(input, weight, bias, mean, var, float(eps))
    if count:
        _move(running_mean, mean, momentum)
        _move(running_var, var * (count / (count - 1)), momentum)
    return y


__all__ = ["batch_norm"]
