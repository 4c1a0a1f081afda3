"""batch_norm: y = xhat w + b, xhat = (x - mean) / sqrt(var + eps), for each channel over the batch and all positions

    dx = w rstd (dy - mean(dy) - xhat mean(dy xhat))        dw = dy xhat, db = dy, summed

In training mean and variance are the batch's (`BatchNorm`), and the running ones move towards them; in evaluation the
running ones are used as they are (`Normalize`). Kernels: csrc/cpu/batch_norm.cpp, on (n, c, s).
"""

import math

from minigrad import mutation
from minigrad.autograd import Op
from minigrad.backend.array import array_module, cast, contiguous, empty, empty_like
from minigrad.dtypes import float64
from minigrad.kernel import kernel
from minigrad.ops.layer_norm import check_affine, flat, statistic
from minigrad.ops.loss import check_floating
from minigrad.ops.operands import check_tensor

# Kernels: x (n, c, s), all small arrays (c,); weight, bias, dw and db may be None


def _xhat(x, mean, var, eps):
    rstd = (var.astype(float64) + eps) ** -0.5
    return (x.astype(float64) - mean[:, None]) * rstd[:, None]


def _affine(xhat, weight, bias):
    return xhat * (1 if weight is None else weight[:, None]) + (0 if bias is None else bias[:, None])


@kernel(outs=3)
def batch_norm_forward(y, mean, var, x, weight, bias, eps):
    count = x.shape[0] * x.shape[2]
    center = x.sum((0, 2), dtype=float64) / count
    spread = ((x - center[:, None]) ** 2).sum((0, 2)) / count
    y[...] = _affine(_xhat(x, center, spread, eps), weight, bias)
    mean[...], var[...] = center, spread


@kernel()
def batch_norm_apply(y, x, mean, var, weight, bias, eps):
    y[...] = _affine(_xhat(x, mean, var, eps), weight, bias)


@kernel(outs=3)
def batch_norm_backward(dx, dw, db, dy, x, weight, mean, var, eps):
    xhat, count = _xhat(x, mean, var, eps), x.shape[0] * x.shape[2]
    along, across = dy.sum((0, 2), dtype=float64), (dy * xhat).sum((0, 2))
    inner = dy - along[:, None] / count - xhat * (across[:, None] / count)
    dx[...] = _affine(inner, (var.astype(float64) + eps) ** -0.5 * (1 if weight is None else weight), None)
    if dw is not None:
        dw[...] = across
    if db is not None:
        db[...] = along


@kernel(outs=2)
def batch_norm_track(running_mean, running_var, mean, var, momentum, correction):
    """running = (1 - momentum) running + momentum batch, the variance times `correction`"""
    running_mean[...] = (1 - momentum) * running_mean.astype(float64) + momentum * mean
    running_var[...] = (1 - momentum) * running_var.astype(float64) + momentum * correction * var


def _folded(x):
    """(n, c, ...) as (n, c, s)."""
    return contiguous(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


class BatchNorm(Op):
    """y, mean and var of x (n, c, ...), weight and bias."""

    def forward(self, x, weight, bias, eps):
        self.shape, self.eps, self.bias_dtype = x.shape, eps, None if bias is None else bias.dtype
        x, weight = _folded(x), flat(weight)
        y, mean, var = empty_like(x), statistic(x.shape[1], x), statistic(x.shape[1], x)
        batch_norm_forward(y, mean, var, x, weight, flat(bias), eps)
        self.saved = x, weight, mean, var
        return y.reshape(self.shape), mean, var

    def backward(self, dy, *_):
        x, weight, mean, var = self.saved
        dx = empty_like(x)
        dw = empty_like(weight) if self.needs(1) else None
        db = empty(mean.shape, self.bias_dtype) if self.needs(2) else None
        batch_norm_backward(dx, dw, db, _folded(dy), x, weight, mean, var, self.eps)
        return dx.reshape(self.shape), dw, db

    @staticmethod
    def composed(x, weight, bias, eps):
        dims = (0, *range(2, x.ndim))
        mean = x.mean(dims, True)
        var = ((x - mean) * (x - mean)).mean(dims, True)
        y = (x - mean) / (var + eps).sqrt()
        y = y if weight is None else y * _per_channel(weight, x)
        return y if bias is None else y + _per_channel(bias, x), mean.reshape(-1), var.reshape(-1)


class Normalize(Op):
    """y = (x - mean) / sqrt(var + eps) w + b with given mean and variance: linear in x, and so is its gradient."""

    def forward(self, x, weight, bias, mean, var, eps):
        self.saved, self.eps, self.bias_dtype = (x, weight, mean, var), eps, None if bias is None else bias.dtype
        y = empty(x.shape, x.dtype)
        batch_norm_apply(_folded(y), _folded(x), mean, var, flat(weight), flat(bias), eps)
        return y

    def gradient(self, dy):
        (x, weight, mean, var), eps = self.saved, self.eps
        x, weight = self.input(0, x), None if weight is None else self.input(1, weight)
        zero = array_module(mean).zeros_like(mean)
        dx = Normalize.apply(dy, weight, None, zero, var, eps) if self.needs(0) else None
        dw = db = None
        if self.needs(1):
            dw = _channel_sums(dy * Normalize.apply(x, None, None, mean, var, eps)).to(weight.dtype)
        if self.needs(2):
            db = _channel_sums(dy).to(self.bias_dtype)
        return dx, dw, db


def _per_channel(a, x):
    return a.reshape(-1, *[1] * (x.ndim - 2))


def _channel_sums(x):
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:])).sum(2).sum(0)


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05):
    """y = (x - mean) / sqrt(var + eps) w + b, for each channel over the batch and all positions

    Args:
        input (Tensor): the batch.
        running_mean, running_var (Tensor): used in evaluation; in training moved towards the batch's mean and unbiased
            variance, in place; both may be None then.
        weight, bias (Tensor, optional): one number for each channel.
        training (bool): use mean and (biased) variance of the batch.
        momentum (float): the weight of the batch in the running statistics.
        eps (float): added to the variance.

    Shape: input (N, C, ...), output the same, all else (C,).
    Errors: RuntimeError for shapes, dtypes or statistics that do not fit, ValueError for one value per channel in
        training.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import minigrad as mg
    >>> mg.batch_norm(mg.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.5)
    tensor([[-0.8165],
            [ 0.8165]])
    """
    check_batch_norm(input, running_mean, running_var, weight, bias, training, eps)
    if not training:
        given = [contiguous(a.array) for a in (running_mean, running_var)]
        return Normalize.apply(input, weight, bias, *given, float(eps))
    y, mean, var = BatchNorm.apply(input, weight, bias, float(eps))
    track(input, running_mean, running_var, mean, var, momentum)
    return y


def track(input, running_mean, running_var, mean, var, momentum):
    """Move the running statistics, if there are any, towards mean and var of the batch `input`."""
    if running_mean is None or not input.numel():
        return
    count, running = input.numel() // input.shape[1], (running_mean.array, running_var.array)
    _track(running, (mean.array, var.array), momentum, count / (count - 1))


def _track(running, batch, momentum, correction):
    batch = [b if b.dtype is r.dtype else cast(b, r.dtype) for b, r in zip(batch, running, strict=True)]
    batch_norm_track(*running, *batch, float(momentum), correction)
    for r in running:
        mutation.touch(r, "batch_norm")


def check_batch_norm(input, running_mean, running_var, weight, bias, training, eps):
    """That all fits. Errors: TypeError for what is no Tensor, ValueError and RuntimeError as batch_norm says."""
    check_floating("batch_norm", input)
    if input.ndim < 2:
        raise RuntimeError(f"[batch_norm] input {input.shape} has no channels, expected (N, C, ...)")
    channels = input.shape[1:2]
    if (running_mean is None) != (running_var is None):
        raise ValueError("[batch_norm] found one of running_mean and running_var, expected both or none")
    if running_mean is None and not training:
        raise RuntimeError("[batch_norm] found no running_mean and running_var, which evaluation needs")
    for name, x in (("running_mean", running_mean), ("running_var", running_var)):
        if x is not None:
            check_tensor("batch_norm", x, name)
            if x.shape != channels:
                raise RuntimeError(f"[batch_norm] {name} has shape {x.shape}, expected {channels} for {input.shape}")
    check_affine("batch_norm", input, weight, bias, channels)
    if training and input.numel() == input.shape[1] and input.numel():
        raise ValueError(f"[batch_norm] input {input.shape} has one value per channel, training needs more")
    if training and eps <= 0:
        raise ValueError(f"[batch_norm] eps is {eps}, training needs more than 0")


__all__ = ["batch_norm"]
