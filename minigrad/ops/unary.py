"""unary: elementwise ops of one tensor, one row each: value, gradient, name, arguments, documentation.

In the formulas `m` is numpy or this package's ops (see `elementwise.py`), so only names that both have are used. The
C++ rows are in csrc/cpu/elementwise.cpp. All take a Tensor of any shape and return one of the same shape; a TypeError
names anything that is not a Tensor. Where a derivative has a corner, the value taken there is stated.
"""

from minigrad.ops.elementwise import unary
from minigrad.ops.inplace import overwrite
from minigrad.special import erf as _erf

_RSQRT_2 = 0.7071067811865476
_RSQRT_2PI = 0.3989422804014327
_SQRT_2_PI = 0.7978845608028654


@unary(lambda m, x: -x, lambda m, dy: -dy, floats=False, bools=False)
def neg(input):
    """y = -x        dx = -dy

    Errors: RuntimeError for bool tensors.

    >>> import minigrad as mg
    >>> mg.neg(mg.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """


@unary(lambda m, x: m.sign(x), lambda m, dy: m.zeros_like(dy), floats=False, bools=False)
def sign(input):
    """y = -1, 0 or 1, the sign of x        dx = 0

    >>> import minigrad as mg
    >>> mg.sign(mg.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """


@unary(lambda m, x: m.abs(x), lambda m, dy, x: dy * m.sign(x), floats=False, bools=False)
def abs(input):
    """y = |x|        dx = dy sign(x), which is 0 at x = 0

    >>> import minigrad as mg
    >>> mg.abs(mg.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """


@unary(lambda m, x: m.exp(x), lambda m, dy, y: dy * y)
def exp(input):
    """y = e^x        dx = dy y

    >>> import minigrad as mg
    >>> mg.exp(mg.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """


@unary(lambda m, x: m.log(x), lambda m, dy, x: dy / x)
def log(input):
    """y = ln x (nan below 0, -inf at 0)        dx = dy / x

    >>> import minigrad as mg
    >>> mg.log(mg.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """


@unary(lambda m, x: m.sqrt(x), lambda m, dy, y: dy / (2 * y))
def sqrt(input):
    """y = sqrt(x) (nan below 0)        dx = dy / (2 y), which is inf at 0

    >>> import minigrad as mg
    >>> mg.sqrt(mg.tensor([4.0, 2.0]))
    tensor([2.0000, 1.4142])
    """


@unary(lambda m, x: m.where(x <= 0, 0, x), lambda m, dy, y: m.where(y > 0, dy, 0), floats=False, bools=False)
def relu(input):
    """y = max(0, x)        dx = dy where y > 0, else 0 (0 at x = 0)

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    >>> import minigrad as mg
    >>> mg.relu(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """


def _sigmoid(m, x):
    e = m.exp(-m.abs(x))  # never overflows; both branches below are exact rewritings of 1 / (1 + e^-x)
    return m.where(x >= 0, 1 / (1 + e), e / (1 + e))


@unary(_sigmoid, lambda m, dy, y: dy * y * (1 - y))
def sigmoid(input):
    """y = 1 / (1 + e^-x)        dx = dy y (1 - y)

    >>> import minigrad as mg
    >>> mg.sigmoid(mg.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """


@unary(lambda m, x: m.tanh(x), lambda m, dy, y: dy * (1 - y * y))
def tanh(input):
    """y = (e^x - e^-x) / (e^x + e^-x)        dx = dy (1 - y^2)

    >>> import minigrad as mg
    >>> mg.tanh(mg.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4621])
    """


@unary(lambda m, x: _erf(x), lambda m, dy, x: dy * (m.exp(-x * x) * 1.1283791670955126))
def erf(input):
    """y = 2/sqrt(pi) * integral of e^(-t^2) from 0 to x        dx = dy 2/sqrt(pi) e^(-x^2)

    Source: Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23, 1969.

    >>> import minigrad as mg
    >>> mg.erf(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """


def _silu_grad(m, dy, x):
    s = _sigmoid(m, x)
    return dy * s * (1 + x * (1 - s))


@unary(lambda m, x: x * _sigmoid(m, x), _silu_grad)
def _silu(input):
    """y = x s with s = 1 / (1 + e^-x)        dx = dy s (1 + x (1 - s)): see `silu`."""


def silu(input, inplace=False):
    """y = x s with s = 1 / (1 + e^-x)        dx = dy s (1 + x (1 - s))

    Args:
        input (Tensor): any shape.
        inplace (bool): write the result into the memory of `input`.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning", 2018.

    >>> import minigrad as mg
    >>> mg.nn.functional.silu(mg.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """
    return overwrite("silu_", input, _silu(input)) if inplace else _silu(input)


def _normal_cdf(m, x):
    return 0.5 * (1 + getattr(m, "erf", _erf)(x * _RSQRT_2))  # numpy has no erf


@unary(
    lambda m, x: x * _normal_cdf(m, x),
    lambda m, dy, x: dy * (_normal_cdf(m, x) + x * _RSQRT_2PI * m.exp(-0.5 * x * x)),
)
def _gelu(input):
    """y = x Phi(x), Phi the normal distribution function        dx = dy (Phi(x) + x phi(x)): see `gelu`."""


def _gelu_inner(m, x):
    return m.tanh(_SQRT_2_PI * (x + 0.044715 * x * x * x))


def _gelu_tanh_grad(m, dy, x):
    t = _gelu_inner(m, x)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _SQRT_2_PI * (1 + 0.134145 * x * x))


@unary(lambda m, x: 0.5 * x * (1 + _gelu_inner(m, x)), _gelu_tanh_grad)
def _gelu_tanh(input):
    """y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): see `gelu`."""


def gelu(input, approximate="none"):
    """y = x Phi(x), with Phi the normal distribution function        dx = dy (Phi(x) + x phi(x))

    Args:
        input (Tensor): any shape.
        approximate ("none" or "tanh"): with "tanh", y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Errors: ValueError for another `approximate`.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> import minigrad as mg
    >>> mg.nn.functional.gelu(mg.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"[gelu] approximate must be 'none' or 'tanh', found {approximate!r}")
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


@unary(
    lambda m, x, lo, hi: m.minimum(m.maximum(x, lo), hi),
    lambda m, dy, x, lo, hi: m.where((x >= lo) & (x <= hi), dy, 0),
)
def _clamp(input, lo, hi):
    return float(lo), float(hi)


@unary(lambda m, x, exponent: x**exponent, lambda m, dy, x, exponent: dy * _power_slope(m, x, exponent))
def _pow_scalar(input, exponent):
    return (float(exponent),)


def _power_slope(m, x, exponent):
    """d(x^e)/dx = e x^(e-1), and exactly 0 for e = 0, where x^-1 may be inf."""
    return exponent * x ** (exponent - 1) if exponent else m.zeros_like(x)


__all__ = ["abs", "erf", "exp", "gelu", "log", "neg", "relu", "sigmoid", "sign", "silu", "sqrt", "tanh"]
