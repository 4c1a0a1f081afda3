"""Reductions, running sums and products against numpy."""

import math
from itertools import product

import numpy as np
import pytest

from tests.extension.helpers import F32, I64, assert_close, blank, normal, run

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
