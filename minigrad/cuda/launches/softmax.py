"""softmax: a row is work for a warp, a long one for a block."""

from minigrad.cuda.launches import launches
from minigrad.cuda.launches.rows import by_rows


@launches
def softmax_forward(y, x):
    yield by_rows("softmax_forward", x.shape, y, x)


@launches
def softmax_backward(dx, dy, y):
    yield by_rows("softmax_backward", y.shape, dx, dy, y)


@launches
def log_softmax_forward(y, x):
    yield by_rows("log_softmax_forward", x.shape, y, x)


@launches
def log_softmax_backward(dx, dy, y):
    yield by_rows("log_softmax_backward", y.shape, dx, dy, y)
