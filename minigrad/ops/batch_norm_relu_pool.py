"""batch_norm_relu_pool: y = max over 2 x 2 squares of relu(batch_norm(x)), without writing what lies between

    dx, dw, db: those of batch_norm, with dy put where each maximum stood

`code` says where that is, as in conv2d_relu_pool. Kernels: csrc/cpu/batch_norm_relu_pool.cpp, for the batch's own mean
and variance; given ones are left to the three ops.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, empty_like
from minigrad.dtypes import uint8
from minigrad.kernel import kernel
from minigrad.ops.batch_norm import (
    BatchNorm,
    batch_norm,
    batch_norm_backward,
    batch_norm_forward,
    check_batch_norm,
    track,
)
from minigrad.ops.layer_norm import flat, statistic
from minigrad.ops.max_pool2d import max_pool2d
from minigrad.ops.operands import check_tensor
from minigrad.ops.unary import relu
from minigrad.ops.windows import pool_squares, spread_squares

# Kernels: x, dx (n, c, h, w), y, dy and code (n, c, h // 2, w // 2), all else (c,); weight, bias, dw and db may be None


def _folded(x):
    """(n, c, h, w) as (n, c, h w)."""
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])


@kernel(outs=4)
def batch_norm_relu_pool_forward(y, code, mean, var, x, weight, bias, eps):
    full = array_module(x).empty(x.shape, x.dtype)
    batch_norm_forward.reference(_folded(full), mean, var, _folded(x), weight, bias, eps)
    pool_squares(y, code, full)


@kernel(outs=3)
def batch_norm_relu_pool_backward(dx, dw, db, dy, code, x, weight, mean, var, eps):
    full = array_module(x).empty(x.shape, x.dtype)
    spread_squares(full, dy, code)
    batch_norm_backward.reference(_folded(dx), dw, db, _folded(full), _folded(x), weight, mean, var, eps)


class BatchNormReluPool(Op):
    """y (n, c, h // 2, w // 2), mean and var of x (n, c, h, w), weight and bias."""

    def forward(self, x, weight, bias, eps):
        x, weight, shape = contiguous(x), flat(weight), (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
        self.eps, self.bias_dtype = eps, None if bias is None else bias.dtype
        y, code = empty(shape, x.dtype), empty(shape, uint8)
        mean, var = statistic(x.shape[1], x), statistic(x.shape[1], x)
        batch_norm_relu_pool_forward(y, code, mean, var, x, weight, flat(bias), eps)
        self.saved = code, x, weight, mean, var
        return y, mean, var

    def backward(self, dy, *_):
        code, x, weight, mean, var = self.saved
        dx = empty_like(x)
        dw = empty_like(weight) if self.needs(1) else None
        db = empty(mean.shape, self.bias_dtype) if self.needs(2) else None
        batch_norm_relu_pool_backward(dx, dw, db, contiguous(dy), code, x, weight, mean, var, self.eps)
        return dx, dw, db

    @staticmethod
    def composed(x, weight, bias, eps):
        y, mean, var = BatchNorm.composed(x, weight, bias, eps)
        return relu(max_pool2d(y, 2)), mean, var


def batch_norm_relu_pool(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05
):
    """y = max_pool2d(relu(batch_norm(input, ...)), 2), in one pass after that for the batch's statistics

    Args: as of batch_norm.
    Shape: input (N, C, H, W), output (N, C, H // 2, W // 2), all else (C,).
    Errors: as of batch_norm and max_pool2d.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    >>> mg.batch_norm_relu_pool(x, None, None, training=True, eps=0.5)
    tensor([[[[1.5000]]]])
    """
    check_tensor("batch_norm", input)
    if not training or input.ndim != 4 or min(input.shape[2:]) < 2 or not input.numel():
        y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        return relu(max_pool2d(y, 2))
    check_batch_norm(input, running_mean, running_var, weight, bias, training, eps)
    y, mean, var = BatchNormReluPool.apply(input, weight, bias, float(eps))
    track(input, running_mean, running_var, mean, var, momentum)
    return y


__all__ = ["batch_norm_relu_pool"]
