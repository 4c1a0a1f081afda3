"""linear: the product with its bias and relu in one launch; sums over rows by columns."""

from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.matmul import tiles


@launches
def linear_forward(y, x, w, bias):
    yield Launch("linear_forward", tiles(*y.shape), 256, (y, x, w, bias, *y.shape, x.shape[1]))


@launches
def linear_relu_forward(y, x, w, bias):
    yield Launch("linear_relu_forward", tiles(*y.shape), 256, (y, x, w, bias, *y.shape, x.shape[1]))


@launches
def linear_relu_backward(g, dbias, dy, y):
    yield Launch("linear_relu_backward", blocks_for(y.shape[1], 32), (32, 8), (g, dbias, dy, y, *y.shape))


@launches
def linear_backward_bias(dbias, dy):
    yield Launch("linear_backward_bias", blocks_for(dy.shape[1], 32), (32, 8), (dbias, dy, *dy.shape))
