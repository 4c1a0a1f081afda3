"""softmax: a row, what runs along n of (outer, n, inner), is work for a warp, a long one for a block."""

from minigrad.cuda.launches import launches
from minigrad.cuda.launches.rows import by_rows


def by_lines(name, x, *arrays):
    outer, n, inner = x.shape
    launch = by_rows(name, (outer * inner, n), *arrays)
    return launch._replace(args=(*launch.args, inner))


@launches
def softmax_forward(y, x):
    yield by_lines("softmax_forward", x, y, x)


@launches
def softmax_backward(dx, dy, y):
    yield by_lines("softmax_backward", y, dx, dy, y)


@launches
def log_softmax_forward(y, x):
    yield by_lines("log_softmax_forward", x, y, x)


@launches
def log_softmax_backward(dx, dy, y):
    yield by_lines("log_softmax_backward", y, dx, dy, y)
