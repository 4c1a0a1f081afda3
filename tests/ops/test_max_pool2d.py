"""max_pool2d: windows of all kinds, ties, NaN, padding that is never chosen."""

import itertools
import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")

# Rows of fewer outputs than lanes, as many, and a tail; odd sizes, of which a row and a column are left out
SQUARES = [((2, 3, 4, 6),), ((3, 2, 2),), ((1, 1, 5, 3),), ((0, 2, 4, 4),), ((1, 1, 2, 16),), ((2, 3, 34),)]
SQUARES += [((1, 2, 7, 27),), ((1, 2, 4, 63),), ((16, 20, 26, 26),), ((3, 301, 255),)]
OTHERS = [((2, 2, 7, 9),), ((1, 6, 8),), ((0, 1, 7, 7),), ((2, 1, 6, 19),), ((4, 20, 53, 41),)]
OPTIONS = [
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (2, 3), "stride": (1, 2), "dilation": (2, 1)},
    {"kernel_size": 2, "stride": 2, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": 3, "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 1, "stride": 1},
    {"kernel_size": 2, "padding": 1},
]


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def outputs(size, k, s, p, d, ceil_mode):
    count = (math.ceil if ceil_mode else math.floor)((size + 2 * p - d * (k - 1) - 1) / s) + 1
    return count - (ceil_mode and (count - 1) * s >= size + p)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """By the definition: window by window, over an input framed by -inf."""
    k, s, p, d = (pair(v) for v in (kernel_size, stride or kernel_size, padding, dilation))
    h, w = (outputs(x.shape[i - 2], k[i], s[i], p[i], d[i], ceil_mode) for i in (0, 1))
    reach = [(0, 0)] * (x.ndim - 2) + [(p[i], p[i] + s[i] + d[i] * k[i]) for i in (0, 1)]
    framed, y = np.pad(x, reach, constant_values=-np.inf), np.empty((*x.shape[:-2], h, w))
    for i, j in itertools.product(range(h), range(w)):
        top, left = i * s[0], j * s[1]
        y[..., i, j] = framed[..., top : top + k[0] * d[0] : d[0], left : left + k[1] * d[1] : d[1]].max((-1, -2))
    return y


def row(shapes, **options):
    return Case(
        " ".join(f"{key} {value}" for key, value in options.items()),
        lambda x: F.max_pool2d(x, **options),
        shapes,
        numpy=lambda x: max_pool2d(x, **options),
        torch=lambda torch, x: torch.nn.functional.max_pool2d(x, **options),
        kernels=("max_pool2d_forward", "max_pool2d_backward"),
    )


CASES = [row(SQUARES, kernel_size=2)] + [row(OTHERS, **options) for options in OPTIONS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("options", [{"kernel_size": 2}, *OPTIONS], ids=str)
@TIERS
def test_ties_against_torch(options, tier):
    """Few different values, so that nearly every window has its maximum twice: the first takes the gradient."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng, grads = np.random.default_rng(0), []
    image = rng.integers(0, 3, (2, 3, 10, 37)).astype(np.float32)
    for module in (mg, torch):
        x = module.tensor(image).requires_grad_()
        with mg.tier(tier):
            y = module.nn.functional.max_pool2d(x, **options)
            y.backward(module.tensor(np.arange(math.prod(y.shape), dtype=np.float32).reshape(tuple(y.shape))))
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


@TIERS
@pytest.mark.parametrize("width", [6, 40])
@pytest.mark.parametrize("k", [2, 3])
def test_nan_wins_and_padding_never(k, width, tier):
    x, expected = np.full((1, 4, width), -np.inf, np.float32), np.full((2, width // 2), -np.inf, np.float32)
    x[0, 1, 1], x[0, 0, 4] = np.nan, 5
    expected[0, 2] = 5
    expected[(0, 0) if k == 2 else np.s_[:, :2]] = np.nan
    with mg.tier(tier):
        leaf = mg.tensor(x).requires_grad_()
        y = F.max_pool2d(leaf, k, 2, padding=k // 3)
        dx = grad(y.sum(), leaf)[0].numpy()[0]
    np.testing.assert_array_equal(y.detach().numpy()[0], expected)
    assert dx[1, 1] == (1 if k == 2 else 4)
    assert dx[0, 4] == 1
    assert dx.sum() == expected.size


@native
@pytest.mark.parametrize("width", [4, 40])
@pytest.mark.parametrize("value", [-np.inf, np.nan, 0.0])
def test_the_first_of_equals_is_found(value, width):
    x = np.full((1, 4, width), value, np.float32)
    for k, p in ((2, 0), (3, 1)):
        y, index = np.empty((1, 2, width // 2), np.float32), np.empty((1, 2, width // 2), np.int64)
        cpu.kernels()["max_pool2d_forward"](y, index, x, k, k, 2, 2, p, p, 1, 1)
        first = [[max(0, 2 * i - p) * width + max(0, 2 * j - p) for j in range(width // 2)] for i in range(2)]
        np.testing.assert_array_equal(index[0], first)
        np.testing.assert_array_equal(y, np.full_like(y, value))


def pool(y, x, *numbers):
    arrays = np.zeros(y, np.float32), np.zeros(y, np.int64), np.zeros(x, np.float32)
    cpu.kernels()["max_pool2d_forward"](*arrays, *numbers)


def scatter(dx, index):
    index = np.array(index, np.int64)
    cpu.kernels()["max_pool2d_backward"](np.zeros(dx, np.float32), np.zeros(index.shape, np.float32), index)


WRONG = [
    (lambda: pool((1, 3, 3), (1, 4, 4), 2, 2, 2, 2, 0, 0, 1, 1), "holds no element"),
    (lambda: pool((1, 1, 1), (1, 4, 4), 2, 0, 2, 2, 0, 0, 1, 1), "above 0"),
    (lambda: pool((1, 1, 1), (1, 4, 4), 2, 2, 0, 2, 0, 0, 1, 1), "above 0"),
    (lambda: pool((1, 1, 1), (1, 4, 4), 2, 2, 2, 2, -1, 0, 1, 1), "above 0"),
    (lambda: pool((1, 1, 1), (1, 4, 4), 2, 2, 2, 2, 0, 0, 1, 2**40), "2\\^30"),
    (lambda: pool((1, 1, 1), (1, 0, 4), 2, 2, 2, 2, 0, 0, 1, 1), "holds no element"),
    (lambda: pool((2, 1, 1), (1, 4, 4), 2, 2, 2, 2, 0, 0, 1, 1), r"shape \(planes, H, W\)"),
    (lambda: scatter((1, 2, 2), [[[4]]]), "index out of range"),
    (lambda: scatter((1, 2, 2), [[[-1]]]), "index out of range"),
    (lambda: scatter((1, 0, 2), [[[0]]]), "index out of range"),
    (lambda: scatter((2, 2, 2), [[[0]]]), r"shape \(planes, H, W\)"),
]


@native
@pytest.mark.parametrize(("call", "message"), WRONG)
def test_sizes_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


ERRORS = [
    (lambda: F.max_pool2d(mg.ones(2, 3), 2), (RuntimeError, ValueError), r"\[max_pool2d\]"),
    (lambda: F.max_pool2d(mg.ones(1, 2, 3), 4), RuntimeError, r"\[max_pool2d\]"),
    (lambda: F.max_pool2d(mg.ones(1, 4, 4), 2, padding=2), RuntimeError, r"\[max_pool2d\]"),
    (lambda: F.max_pool2d(mg.ones(1, 4, 4), 0), (RuntimeError, ValueError), r"\[max_pool2d\]"),
    (lambda: F.max_pool2d([1.0], 2), TypeError, r"\[max_pool2d\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
