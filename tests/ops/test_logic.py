"""Bitwise ops, any and all, tests for nan and inf, allclose and equal."""

import operator

import numpy as np
import pytest

import minigrad as mg
from minigrad.dtypes import ALL, FLOATS, INTEGERS

BITWISE = {"and": mg.bitwise_and, "or": mg.bitwise_or, "xor": mg.bitwise_xor}


@pytest.mark.parametrize("dtype", [mg.bool, *INTEGERS], ids=str)
@pytest.mark.parametrize("name", BITWISE)
def test_bitwise(name, dtype):
    rng, function = np.random.default_rng(0), getattr(operator, f"{name}_" if name != "xor" else "xor")
    a, b = rng.integers(0, 2 if dtype == mg.bool else 100, (2, 3, 4)).astype(dtype)
    expected = function(a, b)
    for found in (
        BITWISE[name](mg.tensor(a), mg.tensor(b)),
        function(mg.tensor(a), mg.tensor(b)),
        function(mg.tensor(a), b),
    ):
        assert found.dtype is dtype
        np.testing.assert_array_equal(found.numpy(), expected)
    x = mg.tensor(a)
    y = getattr(operator, f"i{name}")(x, mg.tensor(b))
    assert y is x
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal((~mg.tensor(a)).numpy(), ~a)


def test_bitwise_mixes_dtypes_and_numbers():
    a = mg.tensor([1, 2, 3], dtype=mg.int8)
    assert (a & 1).tolist() == [1, 0, 1]
    assert (a | mg.tensor([4, 4, 4])).dtype is mg.int64
    assert (mg.tensor([True, False, True]) ^ True).tolist() == [False, True, False]


@pytest.mark.parametrize("name", BITWISE)
def test_bitwise_refuses_floats(name):
    for other in (1.0, mg.ones(2)):
        with pytest.raises(RuntimeError, match=rf"\[bitwise_{name}\] expected bools or integers"):
            BITWISE[name](mg.tensor([1, 2]), other)
    with pytest.raises(RuntimeError, match=r"\[bitwise_not\] expected bools or integers, found float32"):
        ~mg.ones(2)
    with pytest.raises(RuntimeError, match="do not broadcast"):
        mg.tensor([1, 2]) & mg.tensor([1, 2, 3])


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_any_and_all(dtype):
    rng = np.random.default_rng(0)
    a = (rng.random((2, 3, 4)) < 0.6).astype(dtype)
    for name, dim, keepdim in [("any", None, False), ("all", None, False), ("any", 1, True), ("all", (0, 2), False)]:
        found = getattr(mg.tensor(a), name)(dim, keepdim)
        expected = getattr(np.asarray(a, bool), name)(axis=dim, keepdims=keepdim)
        assert found.dtype is mg.bool
        np.testing.assert_array_equal(found.numpy(), expected)
        assert getattr(mg, name)(mg.tensor(a), dim, keepdim).equal(found)


def test_any_and_all_of_nothing():
    assert (mg.ones(0).any().item(), mg.ones(0).all().item()) == (False, True)
    with pytest.raises(IndexError, match=r"\[any\] dim 1 out of range"):
        mg.ones(2).any(1)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_kinds_of_numbers(dtype):
    x = mg.tensor([0.0, np.inf, -np.inf, np.nan], dtype=dtype)
    assert x.isnan().tolist() == [False, False, False, True]
    assert x.isinf().tolist() == [False, True, True, False]
    assert x.isfinite().tolist() == [True, False, False, False]
    assert x.logical_not().tolist() == [True, False, False, False]


def test_kinds_of_integers():
    x = mg.tensor([0, 5])
    assert (x.isnan().any().item(), x.isinf().any().item(), x.isfinite().all().item()) == (False, False, True)
    assert x.logical_not().tolist() == [True, False]


def test_no_gradient_passes():
    x = mg.ones(2, requires_grad=True)
    for y in (x.isnan(), x.isinf(), x.isfinite(), x.logical_not(), x.any(), x.all()):
        assert not y.requires_grad


def test_allclose_and_equal():
    x = mg.tensor([1.0, 2.0])
    assert mg.allclose(x, x + 1e-6)
    assert not mg.allclose(x, x + 1e-3)
    assert mg.allclose(x, mg.tensor(1.5), atol=0.5)
    assert not mg.allclose(mg.tensor([np.nan]), mg.tensor([np.nan]))
    assert mg.allclose(mg.tensor([np.nan]), mg.tensor([np.nan]), equal_nan=True)
    assert x.equal(x.clone())
    assert not x.equal(x + 1)
    assert not x.equal(mg.ones(3))
    with pytest.raises(RuntimeError, match=r"\[allclose\] both tensors must have one dtype, found float32 and float64"):
        mg.allclose(x, x.double())
    with pytest.raises(TypeError, match=r"\[equal\] other must be a Tensor, found list"):
        x.equal([1.0])
