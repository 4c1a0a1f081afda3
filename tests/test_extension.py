"""The C++ side alone: every kernel of the extension called directly, against numpy, on each instruction set this processor runs.

In order: elementwise, copies, reductions, products, random numbers; then what the binding refuses, threads, forks, and the buffer pool.
"""

import math
import subprocess
import sys
import threading
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backend import cpu

F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
SIZES = [0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 1000, 70001]  # tails of every width, and enough for several chunks


def runnable():
    baseline, _ = cpu._load("baseline")
    flags = baseline.cpu_flags() if baseline else {}
    modules = [cpu._load(isa)[0] for isa, needs in cpu.ISAS.items() if all(flags.get(need) for need in needs)]
    return [module for module in modules if module]


MODULES = runnable()
pytestmark = pytest.mark.skipif(not MODULES, reason="the C++ extension is not built")


@pytest.fixture(params=MODULES, ids=[module.isa for module in MODULES])
def ext(request):
    return request.param


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(F32)


def blank(ext, shape, dtype=F32):
    y = ext.empty(shape, dtype)
    y.view(np.uint8).fill(0xA5)
    return y


def run(ext, name, x, *args, out=None):
    y = blank(ext, np.shape(x)) if out is None else out
    getattr(ext, name)(y, x, *args)
    return y


def assert_close(y, expected, ulps=4, absolute=1e-38):
    """Within some float32 spacings of the exact values; nan and inf where they belong."""
    exact = np.asarray(expected, np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(F32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    error = np.abs(y[finite].astype(np.float64) - exact[finite])
    allowed = ulps * np.spacing(np.abs(rounded[finite])).astype(np.float64) + absolute
    assert (error <= allowed).all(), f"off by {(error / allowed).max() * ulps:.1f} ulps"


# Elementwise ---------------------------------------------------------------------------------------------------------

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
EXTREME = np.array([0.0, -0.0, 1.0, -1.0, 1e3, -1e3, 88.5, 89.0, -87.0, 1e30, -1e30, np.inf, -np.inf, np.nan], F32)


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
    if name == "gelu_forward" or name == "gelu_tanh_forward":
        expected = np.where(EXTREME == -np.inf, np.nan, expected)  # -inf * 0, as in PyTorch
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
    """A float32 array that broadcasts to `shape`: some dimensions of size 1 or missing, any order and steps in memory."""
    shape = shape[draw(st.integers(0, len(shape))) :]
    shape = tuple(1 if draw(st.booleans()) and draw(st.booleans()) else n for n in shape)
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in shape]
    base = normal(*(shape[d] * abs(steps[d]) for d in order), seed=draw(st.integers(0, 9)))
    return base.transpose(np.argsort(order))[tuple(slice(None, None, s) for s in steps)] if shape else base


@settings(deadline=None, max_examples=120)
@given(st.data())
def test_any_strides_and_broadcasts(data):
    ext = data.draw(st.sampled_from(MODULES))
    shape = data.draw(shapes)
    a, b, c = (data.draw(views(shape)) for _ in range(3))
    y = data.draw(
        st.sampled_from([np.zeros(shape, F32), np.zeros(shape[::-1], F32).T, np.zeros((*shape, 3), F32)[..., 1]])
    )
    ext.add_forward(y, a, b)
    np.testing.assert_array_equal(y, np.broadcast_to(a + b, shape))
    ext.copy_forward(y, c)
    np.testing.assert_array_equal(y, np.broadcast_to(c, shape))
    ext.where_forward(y, a > 0, b, c)
    np.testing.assert_array_equal(y, np.broadcast_to(np.where(a > 0, b, c), shape))
    before = y.copy()
    ext.axpy_forward(y, a, 0.5)
    np.testing.assert_array_equal(y, before + F32.type(0.5) * a)


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
    for size in (10, 200003):
        for out, a, b in [
            ("[:]", "[:]", "[:]"),
            ("[1:]", "[:-1]", "[1:]"),
            ("[:-1]", "[1:]", "[:-1]"),
            ("[:]", "[::-1]", "[:]"),
        ]:
            x = normal(size)
            copy = x.copy()
            expected = eval(f"copy{a} + copy{b}")
            ext.add_forward(eval(f"x{out}"), eval(f"x{a}"), eval(f"x{b}"))
            np.testing.assert_array_equal(eval(f"x{out}"), expected)
    x = normal(300, 300)
    expected = x + x[0]
    ext.add_forward(x, x, x[0])
    np.testing.assert_array_equal(x, expected)
    expected = x.T.copy()
    ext.copy_forward(x, x.T)
    np.testing.assert_array_equal(x, expected)


# Reductions ----------------------------------------------------------------------------------------------------------

FOLDS = [
    (1, 1, 1),
    (3, 5, 1),
    (1, 33, 7),
    (4, 1000, 1),
    (2, 300, 40),
    (1, 100003, 1),
    (1, 5000, 70),
    (50, 3, 129),
    (2, 0, 3),
    (0, 4, 5),
]


def logsumexp(x):
    top = x.max(1, initial=-np.inf, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.exp(x - top).sum(1)) + top[:, 0]


SUMS = [
    ("sum_forward", lambda x: x.sum(1)),
    ("mean_forward", lambda x: x.sum(1) / np.float64(x.shape[1])),
    ("prod_forward", lambda x: x.prod(1)),
    ("logsumexp_forward", logsumexp),
]


@pytest.mark.parametrize("fold", FOLDS, ids=str)
@pytest.mark.parametrize("name, formula", SUMS, ids=[row[0] for row in SUMS])
def test_sums(ext, name, formula, fold):
    x = normal(*fold)
    x = 1 + x / F32.type(200) if name == "prod_forward" else x
    y = blank(ext, (fold[0], fold[2]))
    getattr(ext, name)(y, x)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(y, formula(x.astype(np.float64)), rtol=2e-6, atol=2e-6 * math.sqrt(fold[1]))


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
def test_logsumexp_of_infinities(ext, special):
    for x in (
        np.full((1, 9, 1), special, F32),
        np.array([[[special], [1.0]]], F32),
        np.array([[[special, 0], [-np.inf, 1]]], F32),
    ):
        y = blank(ext, (1, x.shape[2]))
        ext.logsumexp_forward(y, x)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(y, logsumexp(x.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize("fold", FOLDS, ids=str)
@pytest.mark.parametrize("correction", [0.0, 1.0])
def test_var(ext, fold, correction):
    x = normal(*fold) + 100
    y, mean = blank(ext, (fold[0], fold[2])), blank(ext, (fold[0], fold[2]))
    ext.var_forward(y, mean, x, correction)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        center = wide.sum(1, keepdims=True) / np.float64(fold[1])
        variance = ((wide - center) ** 2).sum(1) / np.float64(max(0, fold[1] - correction))
    np.testing.assert_allclose(mean, center[:, 0], rtol=1e-6)
    np.testing.assert_allclose(y, variance, rtol=1e-4)


@pytest.mark.parametrize("fold", [fold for fold in FOLDS if fold[1]], ids=str)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes(ext, name, fold):
    ties = np.round(normal(*fold) * 2)
    for x in (normal(*fold), ties, np.where(ties == 1, np.nan, ties).astype(F32), np.full(fold, -np.inf, F32)):
        y, index = blank(ext, (fold[0], fold[2])), blank(ext, (fold[0], fold[2]), I64)
        getattr(ext, f"{name}_forward")(y, index, x)
        np.testing.assert_array_equal(y, getattr(np, name)(x, axis=1))
        np.testing.assert_array_equal(index, getattr(np, f"arg{name}")(x, axis=1))


def test_extreme_of_nothing(ext):
    with pytest.raises(ValueError, match=r"\[max_forward\] .*empty"):
        ext.max_forward(blank(ext, (2, 3)), blank(ext, (2, 3), I64), np.zeros((2, 0, 3), F32))


def test_long_sums_stay_accurate(ext):
    x = np.full((1, 3_000_000, 1), 0.1, F32)
    y = blank(ext, (1, 1))
    ext.sum_forward(y, x)
    assert_close(y, x.astype(np.float64).sum(1))
    wide = blank(ext, (1, 3))
    ext.sum_forward(wide, x.reshape(1, -1, 3))
    assert_close(wide, np.full((1, 3), F32.type(0.1), np.float64) * 1_000_000, ulps=10)


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_cumsum(ext, fold):
    x = normal(*fold)
    np.testing.assert_allclose(run(ext, "cumsum_forward", x), x.astype(np.float64).cumsum(1), rtol=1e-6, atol=1e-6)


# Products ------------------------------------------------------------------------------------------------------------

PRODUCTS = [
    (1, 1, 1),
    (64, 256, 784),
    (7, 10, 3),
    (1, 768, 100),
    (130, 33, 1500),
    (5, 1, 1),
    (33, 100, 64),
    (300, 200, 50),
    (2, 3, 0),
    (0, 3, 2),
]


@pytest.mark.parametrize("m, n, k", PRODUCTS)
def test_matmul(ext, m, n, k):
    for ta, tb in product([False, True], repeat=2):
        for count, of_a, of_b in [(1, 1, 1), (3, 3, 3), (3, 1, 3), (3, 3, 1)]:
            a, b = normal(of_a, *((k, m) if ta else (m, k))), normal(of_b, *((n, k) if tb else (k, n)), seed=1)
            y = blank(ext, (count, m, n))
            ext.matmul_forward(y, a, b, ta, tb)
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            expected = (wide_a.swapaxes(1, 2) if ta else wide_a) @ (wide_b.swapaxes(1, 2) if tb else wide_b)
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=5e-6 * math.sqrt(k + 1))


@pytest.mark.parametrize("m, n, k", PRODUCTS)
def test_linear(ext, m, n, k):
    x, w, bias = normal(m, k), normal(n, k, seed=1), normal(n, seed=2)
    for b in (bias, None):
        y = blank(ext, (m, n))
        ext.linear_forward(y, x, w, b)
        expected = x.astype(np.float64) @ w.astype(np.float64).T + (0 if b is None else b)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=5e-6 * math.sqrt(k + 1))


def test_products_pass_nan_and_inf(ext):
    a, b = normal(1, 20, 30), normal(1, 30, 40)
    a[0, 3, 5], b[0, 7, 2] = np.nan, np.inf
    y = blank(ext, (1, 20, 40))
    ext.matmul_forward(y, a, b, False, False)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(a @ b))


# Random numbers ------------------------------------------------------------------------------------------------------


def test_philox_known_answers(ext):
    """The first 24 bits of the published vectors for counter 0 with key 0, and for all bits set in key and low counter words."""
    y = blank(ext, 8)
    ext.uniform_fill(y, 0, 0)
    assert [int(v * 2**24) for v in y[:4]] == [w >> 8 for w in (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)]


def test_streams_continue(ext):
    whole, part = blank(ext, 100_003), blank(ext, 501)
    for name in ("uniform_fill", "normal_fill"):
        for seed, offset in [(3, 5), (-7, 2**40)]:
            getattr(ext, name)(whole, seed, offset)
            getattr(ext, name)(part, seed, offset + 20_000)
            np.testing.assert_array_equal(part, whole[80_000:80_501])


def test_normal_is_box_muller_of_uniform(ext):
    u, z = blank(ext, 100_000), blank(ext, 100_000)
    ext.uniform_fill(u, 11, 0)
    ext.normal_fill(z, 11, 0)
    u1, u2 = u.reshape(-1, 2).astype(np.float64).T + np.array([[2.0**-24], [0]])
    radius, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
    np.testing.assert_allclose(
        z.reshape(-1, 2), np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), rtol=1e-5, atol=2e-6
    )
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout(ext, p):
    for size in SIZES:
        x, u = normal(size), blank(ext, size)
        ext.uniform_fill(u, 4, 9)
        with np.errstate(all="ignore"):
            expected = np.where(u >= F32.type(p), x / F32.type(1 - p), F32.type(0))
        for name in ("dropout_forward", "dropout_backward"):
            np.testing.assert_array_equal(run(ext, name, x, p, 4, 9), expected)


# The binding ---------------------------------------------------------------------------------------------------------

f, g = np.zeros((3, 4), F32), np.zeros((3, 4), F32)
frozen = np.zeros((3, 4), F32)
frozen.flags.writeable = False
REFUSED = [
    ("relu_forward", (f,), TypeError, r"\[relu_forward\] expected 2 arguments, found 1"),
    (
        "relu_forward",
        (f, np.zeros((3, 4), np.int64)),
        TypeError,
        r"\[relu_forward\] argument 2: expected float32, found int64 of shape \(3, 4\)",
    ),
    ("relu_forward", (f, "text"), TypeError, r"\[relu_forward\] argument 2: expected float32, found str"),
    ("relu_forward", (frozen, f), TypeError, r"argument 1: expected writable float32, found read-only float32"),
    ("relu_forward", (f, g.astype(">f4")), TypeError, r"found byte-swapped >f4"),
    (
        "relu_forward",
        (f, np.zeros(13, np.uint8)[1:].view(np.dtype((F32, ())))[:3]),
        TypeError,
        r"found unaligned float32",
    ),
    ("relu_forward", (2.0, f), TypeError, r"argument 1: expected writable float32, found float"),
    (
        "add_forward",
        (f, f, np.zeros(5, F32)),
        ValueError,
        r"\[add_forward\] shape \(5,\) does not broadcast to \(3, 4\)",
    ),
    ("add_forward", (f, f, np.zeros((2, 3, 4), F32)), ValueError, r"does not broadcast"),
    (
        "sum_forward",
        (np.zeros((3, 4), F32), np.zeros((3, 4, 5), F32)),
        ValueError,
        r"\[sum_forward\] expected x of shape",
    ),
    ("sum_forward", (f, f), ValueError, r"\[sum_forward\]"),
    (
        "sum_forward",
        (f, np.zeros((3, 2, 8), F32)[:, :, ::2]),
        TypeError,
        r"argument 2: expected C-contiguous float32, found strided float32",
    ),
    (
        "max_forward",
        (f, f, np.zeros((3, 2, 4), F32)),
        TypeError,
        r"argument 2: expected writable C-contiguous int64, found float32",
    ),
    (
        "cumsum_forward",
        (np.zeros((1, 2, 3), F32), np.zeros((1, 3, 2), F32)),
        ValueError,
        r"shapes \(1, 2, 3\) and \(1, 3, 2\)",
    ),
    (
        "matmul_forward",
        (np.zeros((1, 2, 2), F32), np.zeros((1, 2, 3), F32), np.zeros((1, 2, 2), F32), False, False),
        ValueError,
        r"do not give",
    ),
    (
        "matmul_forward",
        (np.zeros((1, 2, 2), F32),) * 3 + (0, False),
        TypeError,
        r"argument 4: expected a bool, found int",
    ),
    ("linear_forward", (f, f, f, None), ValueError, r"\[linear_forward\]"),
    ("linear_forward", (np.zeros((3, 3), F32), f, f, np.zeros(4, F32)), ValueError, r"expected bias"),
    ("uniform_fill", (f, 1.5, 0), TypeError, r"argument 2: expected an int, found float"),
    ("uniform_fill", (f, 2**70, 0), TypeError, r"argument 2: expected an int of 64 bits"),
    ("dropout_forward", (f, f, 1.5, 0, 0), ValueError, r"p must lie in \[0, 1\]"),
    ("clamp_forward", (f, f, "0", 1.0), TypeError, r"argument 3: expected a number, found str"),
    ("empty", ((-1,), F32), ValueError, r"\[empty\] negative dimension -1"),
    ("empty", ((2,), object), TypeError, r"\[empty\] dtype object: expected plain numbers"),
    ("empty", ((2**40, 2**40), F32), MemoryError, r"\[empty\]"),
    ("empty", ("ab", F32), TypeError, r"integer"),
    ("empty", (1,), TypeError, r"expected 2 arguments"),
]


@pytest.mark.parametrize("name, args, error, message", REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)])
def test_wrong_calls_are_refused(ext, name, args, error, message):
    with pytest.raises(error, match=message):
        getattr(ext, name)(*args)


def test_kernels_are_listed(ext):
    assert len(set(ext.KERNELS)) == len(ext.KERNELS) > 50
    assert all(callable(getattr(ext, name)) for name in ext.KERNELS)


# Threads -------------------------------------------------------------------------------------------------------------


def everything(ext):
    """One result of every kind of kernel, large enough for many chunks."""
    x, tall, wide = normal(300, 1001), normal(2, 4001, 33), normal(1, 300, 1001)
    y = [
        blank(ext, x.shape),
        blank(ext, (2, 33)),
        blank(ext, (300, 1)),
        blank(ext, (1, 1)),
        blank(ext, (1, 300, 300)),
        blank(ext, (300, 300)),
    ]
    ext.gelu_forward(y[0], x)
    ext.sum_forward(y[1], tall)
    ext.logsumexp_forward(y[2], x[:, :, None])
    ext.var_forward(y[3], blank(ext, (1, 1)), x.reshape(1, -1, 1), 1.0)
    ext.matmul_forward(y[4], wide, wide, False, True)
    ext.linear_forward(y[5], x, x, y[2].reshape(-1))
    return [
        *y,
        run(ext, "cumsum_forward", tall),
        run(ext, "dropout_forward", x, 0.5, 1, 2),
        run(ext, "copy_forward", x.T),
    ]


def test_results_do_not_depend_on_the_threads(ext):
    before = ext.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4, 3):
            ext.set_num_threads(threads)
            assert ext.get_num_threads() == threads
            results.append(everything(ext))
    finally:
        ext.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_thread_count_is_checked(ext):
    with pytest.raises(ValueError, match="at least 1"):
        ext.set_num_threads(0)


def test_python_threads_may_call_at_once(ext):
    expected, failures = everything(ext), []

    def work():
        for _ in range(3):
            if not all(map(np.array_equal, expected, everything(ext))):
                failures.append(threading.current_thread().name)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


FORK = """
import os, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from minigrad.backend import cpu
ext = cpu._load(sys.argv[1])[0]
ext.set_num_threads(3)
x, y = np.ones((1, 500000, 1), np.float32), ext.empty((1, 1), np.float32)
total = lambda: (ext.sum_forward(y, x), float(y[0, 0]))[1]
assert total() == 500000
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        ok = all(total() == 500000 for _ in range(50)) and ext.get_num_threads() == 3
        os._exit(0 if ok else 1)
    children.append(pid)
    assert total() == 500000
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
assert total() == 500000
"""


def test_forked_children_compute_too(ext):
    done = subprocess.run([sys.executable, "-c", FORK, ext.isa], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# Buffers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, "float64", np.int64, bool, np.uint8, "bfloat16"])
def test_empty(ext, dtype):
    if dtype == "bfloat16":
        dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    for shape in ((), (0,), (3,), [2, 3], (4, 0, 2), (1000, 1001), 5):
        x, like = ext.empty(shape, dtype), np.empty(shape, dtype)
        assert (x.shape, x.dtype) == (like.shape, like.dtype)
        assert x.ctypes.data % 64 == 0 and x.flags.writeable and x.flags.c_contiguous
        x.fill(1)
        assert (x == 1).all()


def test_buffers_are_reused(ext):
    ext.empty((1000,), F32)
    before = ext.memory_stats()
    for _ in range(10):
        ext.empty((1000,), F32)
    after = ext.memory_stats()
    assert after["reuses"] - before["reuses"] == 10 and after["allocated"] == before["allocated"]


def test_stats_and_empty_cache(ext):
    before = ext.memory_stats()["allocated"]
    x = ext.empty((1 << 20,), F32)
    view = x[5:10]
    assert ext.memory_stats()["allocated"] - before == 4 << 20
    del x
    assert ext.memory_stats()["allocated"] - before == 4 << 20  # the view keeps the buffer
    del view
    stats = ext.memory_stats()
    assert (
        stats["allocated"] == before
        and stats["cached"] >= 4 << 20
        and stats["reserved"] == stats["allocated"] + stats["cached"]
    )
    ext.empty_cache()
    assert ext.memory_stats()["cached"] == 0
    ext.reset_peak()
    assert ext.memory_stats()["peak"] == ext.memory_stats()["allocated"]


def test_the_cache_is_bounded(ext):
    code = f"""
from minigrad.backend import cpu
ext = cpu._load({ext.isa!r})[0]
for size in (1 << 18, 1 << 19, 1 << 20, 3 << 17):
    ext.empty((size,), "float32")
    assert ext.memory_stats()["cached"] <= 3 << 20, ext.memory_stats()
assert ext.memory_stats()["cached"] >= 1 << 20
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"MINIGRAD_CACHE_MB": "3", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
