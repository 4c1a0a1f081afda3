"""softmax: y_i = e^x_i / sum_j e^x_j        dx = y (dy - sum_j dy_j y_j)
log_softmax: y_i = x_i - ln sum_j e^x_j        dx = dy - e^y sum_j dy_j

Kernels: csrc/cpu/softmax.cpp, on (rows, cols). Saved for backward: y. Both subtract the row's maximum first, so nothing
overflows.
"""

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty_like
from minigrad.dtypes import as_dtype, float64, get_default_dtype, is_floating
from minigrad.kernel import kernel
from minigrad.ops.elementwise import check_tensor
from minigrad.tensor import check_dim, method


@kernel()
def softmax_forward(y, x):
    e = array_module(x).exp(x - x.max(-1, keepdims=True))
    y[...] = e / e.sum(-1, keepdims=True, dtype=float64)


@kernel()
def softmax_backward(dx, dy, y):
    dx[...] = y * (dy - (dy * y).sum(-1, keepdims=True, dtype=float64))


@kernel()
def log_softmax_forward(y, x):
    xp = array_module(x)
    shifted = x - x.max(-1, keepdims=True)
    y[...] = shifted - xp.log(xp.exp(shifted).sum(-1, keepdims=True, dtype=float64))


@kernel()
def log_softmax_backward(dx, dy, y):
    dx[...] = dy - array_module(y).exp(y) * dy.sum(-1, keepdims=True, dtype=float64)


class _AlongLast(Op):
    """An op on rows: brings `dim` to the end, runs the kernel on (rows, cols), and puts it back."""

    def forward(self, x, dim):
        self.dim = dim
        y = self.on_rows(self.forward_kernel, x)
        self.saved = (y,)
        return y

    def backward(self, dy):
        return self.on_rows(self.backward_kernel, dy, *self.saved)

    def on_rows(self, run, *arrays):
        last = [contiguous(a.swapaxes(self.dim, -1)) if a.ndim else a.reshape(1) for a in arrays]
        y = empty_like(last[0])
        if y.size:
            rows = (-1, y.shape[-1])
            run(y.reshape(rows), *[a.reshape(rows) for a in last])
        return y.swapaxes(self.dim, -1) if arrays[0].ndim else y.reshape(())


class Softmax(_AlongLast):
    forward_kernel, backward_kernel = softmax_forward, softmax_backward

    def gradient(self, dy):
        y = self.output(*self.saved)
        return y * (dy - (dy * y).sum(self.dim, True))


class LogSoftmax(_AlongLast):
    forward_kernel, backward_kernel = log_softmax_forward, log_softmax_backward

    def gradient(self, dy):
        return dy - self.output(*self.saved).exp() * dy.sum(self.dim, True)


def _along(op, cls, input, dim, dtype):
    check_tensor(op, input)
    if dim is None:
        raise TypeError(f"[{op}] dim is missing: say along which dimension, for example -1")
    if dtype is not None or not is_floating(input.dtype):
        input = input.to(as_dtype(dtype) if dtype is not None else get_default_dtype())
    return cls.apply(input, check_dim(op, dim, input.ndim))


@method
def softmax(input, dim=None, dtype=None):
    """y_i = e^x_i / sum_j e^x_j along `dim`        dx = y (dy - sum_j dy_j y_j)

    Args:
        input (Tensor): any shape.
        dim (int): the dimension that sums to 1.
        dtype (optional): convert to this first.

    Errors: IndexError for a dim out of range, TypeError if it is missing.
    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

    >>> import minigrad as mg
    >>> mg.softmax(mg.tensor([0.0, 0.0, 0.6931]), 0)
    tensor([0.2500, 0.2500, 0.5000])
    """
    return _along("softmax", Softmax, input, dim, dtype)


@method
def log_softmax(input, dim=None, dtype=None):
    """y_i = x_i - ln sum_j e^x_j along `dim`        dx = dy - e^y sum_j dy_j

    Arguments and errors as in `softmax`.

    >>> import minigrad as mg
    >>> mg.log_softmax(mg.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return _along("log_softmax", LogSoftmax, input, dim, dtype)


__all__ = ["log_softmax", "softmax"]
