"""Elementwise kernels against numpy: every row of the table, extreme values, any strides and broadcasts."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.extension.helpers import F32, MODULES, SIZES, assert_close, blank, normal, run

erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_slope(x):
    return 0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x):
    t = np.tanh(gelu_inner(x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


# name, formula in float64, whether the argument must be positive, and the error where it is not relative to the result
UNARY = [
    ("neg_forward", lambda x: -x, False, 0),
    ("neg_backward", lambda x: -x, False, 0),
    ("sign_forward", np.sign, False, 0),
    ("abs_forward", np.abs, False, 0),
    ("exp_forward", np.exp, False, 0),
    ("log_forward", np.log, True, 0),
    ("sqrt_forward", np.sqrt, True, 0),
    ("relu_forward", lambda x: np.maximum(x, 0), False, 0),
    ("sigmoid_forward", lambda x: 1 / (1 + np.exp(-x)), False, 0),
    ("tanh_forward", np.tanh, False, 0),
    ("erf_forward", erf, False, 0),
    ("gelu_forward", gelu, False, 1e-6),
    ("gelu_tanh_forward", lambda x: 0.5 * x * (1 + np.tanh(gelu_inner(x))), False, 1e-6),
]
BACKWARD = [
    ("abs_backward", lambda dy, x: dy * np.sign(x), 0),
    ("exp_backward", lambda dy, y: dy * y, 0),
    ("log_backward", lambda dy, x: dy / x, 0),
    ("sqrt_backward", lambda dy, y: dy / (2 * y), 0),
    ("relu_backward", lambda dy, y: np.where(y > 0, dy, 0), 0),
    ("sigmoid_backward", lambda dy, y: dy * y * (1 - y), 1e-6),
    ("tanh_backward", lambda dy, y: dy * (1 - y * y), 1e-6),
    ("erf_backward", lambda dy, x: dy * 2 / math.sqrt(math.pi) * np.exp(-x * x), 1e-6),
    ("gelu_backward", lambda dy, x: dy * gelu_slope(x), 2e-6),
    ("gelu_tanh_backward", lambda dy, x: dy * gelu_tanh_slope(x), 2e-6),
]
BINARY = [
    ("add_forward", np.add),
    ("sub_forward", np.subtract),
    ("mul_forward", np.multiply),
    ("div_forward", np.divide),
    ("maximum_forward", np.maximum),
    ("minimum_forward", np.minimum),
]
COMPARE = [
    ("eq_forward", np.equal),
    ("ne_forward", np.not_equal),
    ("gt_forward", np.greater),
    ("lt_forward", np.less),
    ("ge_forward", np.greater_equal),
    ("le_forward", np.less_equal),
]
NANS = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7FC12345], np.uint32).view(F32)
EXTREME = np.array([0.0, -0.0, 1.0, -1.0, 1e3, -1e3, 88.5, 89.0, -87.0, 1e30, -1e30, np.inf, -np.inf, *NANS], F32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name, formula, positive, absolute", UNARY, ids=[row[0] for row in UNARY])
def test_unary(ext, name, formula, positive, absolute, size):
    x = normal(size) * 4
    x = np.abs(x) + F32.type(1e-3) if positive else x
    assert_close(run(ext, name, x), formula(x.astype(np.float64)), absolute=absolute + 1e-38)


@pytest.mark.parametrize("name, formula, positive, absolute", UNARY, ids=[row[0] for row in UNARY])
def test_unary_extremes(ext, name, formula, positive, absolute):
    with np.errstate(all="ignore"):
        expected = formula(EXTREME.astype(np.float64))
    if name.startswith("gelu"):
        expected = np.where(np.isneginf(EXTREME), np.nan, expected)  # -inf * 0, as in PyTorch
    assert_close(run(ext, name, EXTREME), expected, absolute=absolute + 1e-37)


def test_the_whole_range_is_accurate(ext):
    x = np.concatenate([np.linspace(-87, 88, 50001), np.linspace(-5, 5, 50001), np.logspace(-30, 1, 5001)]).astype(F32)
    wide = x.astype(np.float64)
    for name, formula, positive, absolute in UNARY:
        with np.errstate(divide="ignore"):
            expected = formula(np.abs(wide) if positive else wide)
        if not absolute:
            assert_close(run(ext, name, np.abs(x) if positive else x), expected)


@pytest.mark.parametrize("name, formula, absolute", BACKWARD, ids=[row[0] for row in BACKWARD])
def test_backward(ext, name, formula, absolute):
    for size in SIZES:
        dy, s = normal(size, seed=1), normal(size, seed=2)
        expected = formula(dy.astype(np.float64), s.astype(np.float64))
        dx = blank(ext, size)
        getattr(ext, name)(dx, dy, s)
        assert_close(dx, expected, ulps=8, absolute=absolute + 1e-38)


@pytest.mark.parametrize("name, formula", BINARY + COMPARE, ids=[row[0] for row in BINARY + COMPARE])
def test_binary(ext, name, formula):
    pairs = np.array(list(product(EXTREME, EXTREME)), F32)
    cases = [(normal(n, seed=1), normal(n, seed=2)) for n in SIZES] + [(pairs[:, 0].copy(), pairs[:, 1].copy())]
    for a, b in cases:
        with np.errstate(all="ignore"):
            expected = formula(a, b)
        y = blank(ext, a.shape, expected.dtype)
        getattr(ext, name)(y, a, b)
        np.testing.assert_array_equal(y, expected)


def test_power(ext):
    a, b = np.abs(normal(1001, seed=1)), normal(1001, seed=2) * 3
    y = blank(ext, 1001)
    ext.pow_forward(y, a, b)
    assert_close(y, a.astype(np.float64) ** b, ulps=2)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, 2.5])
def test_scalar_power(ext, exponent):
    x, dy = np.abs(normal(1001, seed=1)), normal(1001, seed=2)
    wide = x.astype(np.float64)
    assert_close(run(ext, "pow_scalar_forward", x, exponent), wide**exponent)
    dx = blank(ext, 1001)
    ext.pow_scalar_backward(dx, dy, x, exponent)
    assert_close(dx, dy * exponent * wide ** (exponent - 1))
    ext.pow_scalar_backward(dx, dy, np.zeros_like(x), 0.0)
    assert not dx.any()


def test_clamp(ext):
    x = np.concatenate([normal(1001), EXTREME])
    np.testing.assert_array_equal(run(ext, "clamp_forward", x, -0.5, 0.75), np.clip(x, F32.type(-0.5), F32.type(0.75)))
    dx, dy = blank(ext, x.shape), np.ones_like(x)
    ext.clamp_backward(dx, dy, x, -0.5, 0.75)
    np.testing.assert_array_equal(dx, ((x >= -0.5) & (x <= 0.75)).astype(F32))


def test_denormals_are_flushed_and_the_mode_restored(ext):
    tiny = np.full(100, 1e-40, F32)
    assert not run(ext, "exp_backward", tiny, np.ones(100, F32)).any()
    assert (tiny * F32.type(0.5)).all()  # numpy still computes with them


shapes = st.lists(st.sampled_from([1, 2, 3, 5, 17, 40]), max_size=4).map(tuple)


@st.composite
def views(draw, shape):
    """An array that broadcasts to `shape`: some dimensions of size 1 or missing, any order and steps in memory."""
    shape = shape[draw(st.integers(0, len(shape))) :]
    shape = tuple(1 if draw(st.booleans()) and draw(st.booleans()) else n for n in shape)
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in shape]
    base = normal(*(shape[d] * abs(steps[d]) for d in order), seed=draw(st.integers(0, 9)))
    return base.transpose(np.argsort(order))[tuple(slice(None, None, s) for s in steps)] if shape else base


@pytest.mark.skipif(not MODULES, reason="the C++ extension is not built")
@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_strides_and_broadcasts(data):
    shape = data.draw(shapes)
    a, b, c = (data.draw(views(shape)) for _ in range(3))
    y = data.draw(
        st.sampled_from([np.zeros(shape, F32), np.zeros(shape[::-1], F32).T, np.zeros((*shape, 3), F32)[..., 1]])
    )
    for ext in MODULES:
        ext.add_forward(y, a, b)
        np.testing.assert_array_equal(y, np.broadcast_to(a + b, shape))
        ext.copy_forward(y, c)
        np.testing.assert_array_equal(y, np.broadcast_to(c, shape))
        ext.where_forward(y, a > 0, b, c)
        np.testing.assert_array_equal(y, np.broadcast_to(np.where(a > 0, b, c), shape))


@pytest.mark.parametrize("axes", [(1, 0, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)])
def test_arrays_that_lie_across(ext, axes):
    a, b = normal(17, 40, 65, seed=1).transpose(axes), normal(17, 40, 65, seed=2).transpose(axes).copy()
    y = blank(ext, a.shape)
    ext.add_forward(y, a, b)
    np.testing.assert_array_equal(y, a + b)
    ext.copy_forward(y, a)
    np.testing.assert_array_equal(y, a)
    ext.where_forward(y, a > 0, a, b)
    np.testing.assert_array_equal(y, np.where(a > 0, a, b))
    ext.neg_forward(y.T, a.T)
    np.testing.assert_array_equal(y, -a)


@pytest.mark.parametrize("size", [5, 70001])
def test_numbers_stand_for_arrays(ext, size):
    x, mask = normal(size), normal(size, seed=1) > 0
    y = blank(ext, size)
    for number in (2, 2.5, np.float32(0.1), np.float64(0.1), True):
        ext.mul_forward(y, x, number)
        np.testing.assert_array_equal(y, x * F32.type(number))
        ext.div_forward(y, number, x)
        np.testing.assert_array_equal(y, F32.type(number) / x)
        ext.where_forward(y, mask, number, x)
        np.testing.assert_array_equal(y, np.where(mask, F32.type(number), x))
        ext.where_forward(y, mask, number, 1.0)
        np.testing.assert_array_equal(y, np.where(mask, F32.type(number), F32.type(1)))


def test_output_may_overlap_an_input(ext):
    every, head, tail, back = slice(None), slice(None, -1), slice(1, None), slice(None, None, -1)
    for size in (10, 200003):
        for out, a, b in [(every, every, every), (tail, head, tail), (head, tail, head), (every, back, every)]:
            x = normal(size)
            expected = x[a] + x[b]
            ext.add_forward(x[out], x[a], x[b])
            np.testing.assert_array_equal(x[out], expected)
    x = normal(300, 300)
    expected = x + x[0]
    ext.add_forward(x, x, x[0])
    np.testing.assert_array_equal(x, expected)
    expected = x.T.copy()
    ext.copy_forward(x, x.T)
    np.testing.assert_array_equal(x, expected)
