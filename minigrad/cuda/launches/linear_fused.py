"""linear_fused: as linear, with what follows it in the same launches."""

from minigrad.cuda.launches import launches
from minigrad.cuda.launches.linear import by_columns, layer

SUM = "linear_fused_backward_sum"


@launches
def linear_relu_forward(y, x, w, bias):
    return layer("linear_relu_forward", (y,), x, w, bias)


@launches
def linear_gelu_forward(y, slope, x, w, bias, tanh):
    return layer("linear_gelu_forward", (y, slope), x, w, bias, tanh)


@launches
def linear_add_forward(y, x, w, bias, other):
    return layer("linear_add_forward", (y,), x, w, bias, other)


@launches
def linear_relu_backward(g, dbias, dy, y):
    return by_columns("linear_relu_backward", SUM, (g,), dbias, dy, y)


@launches
def linear_gelu_backward(g, dbias, dy, slope):
    return by_columns("linear_gelu_backward", SUM, (g,), dbias, dy, slope)
