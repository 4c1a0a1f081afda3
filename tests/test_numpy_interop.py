"""Tensors among numpy and its relatives: arrays, ufuncs, DLPack."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.dtypes import ALL, FLOATS


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_arrays_share_memory(dtype):
    x = mg.ones(3, dtype=dtype)
    for a in (x.numpy(), np.asarray(x)):
        assert a.dtype == dtype
        assert np.shares_memory(a, x.array)
    assert np.array(x).base is None
    assert not np.shares_memory(np.array(x), x.array)
    x.numpy()[0] = 0
    assert x.tolist()[0] == 0


def test_asarray_converts():
    x = mg.tensor([1.5, 2.5])
    assert np.asarray(x, np.int64).tolist() == [1, 2]
    assert np.asarray(x, dtype=np.float32, copy=False) is x.array
    with pytest.raises(ValueError):
        np.asarray(x, dtype=np.float64, copy=False)
    assert np.stack([x, x]).shape == (2, 2)
    assert np.mean(x.numpy()) == 2


def test_a_tracked_tensor_does_not_slip_out():
    x = mg.ones(2, requires_grad=True)
    for call in (x.numpy, lambda: np.asarray(x), lambda: np.stack([x, x]), lambda: np.from_dlpack(x)):
        with pytest.raises(
            RuntimeError, match=r"\[numpy\] this tensor requires a gradient that numpy would not track: use detach"
        ):
            call()
    assert np.asarray(x.detach()).tolist() == [1, 1]


# Ufuncs: our op, with its gradient, or an error; never a loop over elements ------------------------------------------

UNARY = ["exp", "log", "sqrt", "tanh", "sign", "negative", "absolute"]
BINARY = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "floor_divide", "remainder"]
COMPARISONS = ["equal", "not_equal", "greater", "less", "greater_equal", "less_equal"]


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs(name):
    a = np.array([0.5, 1.5, 2.5])
    x = mg.tensor(a, requires_grad=True)
    y = getattr(np, name)(x)
    assert isinstance(y, mg.Tensor)
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(a), rtol=1e-12)


@pytest.mark.parametrize("name", BINARY + COMPARISONS)
def test_binary_ufuncs(name):
    a, b = np.array([1.5, 2.5, 3.0]), np.array([2.0, 0.5, 3.0])
    ufunc, x = getattr(np, name), mg.tensor(a, requires_grad=True)
    for y in (ufunc(x, b), ufunc(x, mg.tensor(b)), ufunc(a, mg.tensor(b, requires_grad=True))):
        assert isinstance(y, mg.Tensor)
        assert y.requires_grad == (name in BINARY)
        np.testing.assert_allclose(y.detach().numpy(), ufunc(a, b), rtol=1e-12)


def test_products_and_bits():
    a, n = np.arange(4.0).reshape(2, 2), np.array([1, 2, 3])
    np.testing.assert_array_equal(np.matmul(a, mg.tensor(a)).numpy(), a @ a)
    np.testing.assert_array_equal(np.bitwise_and(n, mg.tensor([1, 1, 1])).numpy(), n & 1)
    np.testing.assert_array_equal(np.invert(mg.tensor(n)).numpy(), ~n)


def test_a_numpy_array_on_the_left_gives_a_tensor():
    a, x = np.arange(3.0), mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64, requires_grad=True)
    for y in (a + x, a * x, a - x, a / x, a**x, a @ x, np.float64(2) * x, np.float32(2) + x):
        assert isinstance(y, mg.Tensor)
        assert y.requires_grad
    (a * x).sum().backward()
    assert x.grad.tolist() == [0, 1, 2]
    for y in (a < x, a == x, np.float64(1) <= x):
        assert (type(y), y.dtype) == (mg.Tensor, mg.bool)


REFUSED = [
    lambda x: np.arctan2(x, x), lambda x: np.hypot(x, 1),
    lambda x: np.add.reduce(x), lambda x: np.add(x, x, out=np.zeros(2)),
    lambda x: np.exp(x, where=[True, False]), lambda x: np.add.outer(x, x), lambda x: np.spacing(x),
    lambda x: np.add(x, x, dtype=np.float64), lambda x: np.add.at(x, 0, 1), lambda x: np.zeros(2).__iadd__(x),
]  # fmt: skip


@pytest.mark.parametrize("call", REFUSED)
def test_what_has_no_form_here_is_refused(call):
    with pytest.raises(
        TypeError, match=r"\[numpy\.\w+\] has no form for Tensors here: use minigrad's ops, or tensor.numpy"
    ):
        call(mg.ones(2))


# DLPack --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for d in ALL if d != mg.bfloat16], ids=str)
def test_dlpack_with_numpy(dtype):
    x = mg.ones(2, 3, dtype=dtype)
    a = np.from_dlpack(x)
    assert (a.dtype, a.shape) == (dtype, (2, 3))
    assert np.shares_memory(a, x.array)
    y = mg.from_dlpack(np.ones((3, 2), dtype).T)
    assert (y.dtype, y.shape, y.stride()) == (dtype, (2, 3), (1, 2))


@pytest.mark.parametrize("dtype", [d for d in ALL if d != mg.bfloat16], ids=str)
def test_dlpack_with_torch(dtype):
    torch = pytest.importorskip("torch")
    t = torch.ones(2, 3, dtype=getattr(torch, dtype.name))
    x = mg.from_dlpack(t.T)
    assert (x.dtype, x.shape) == (dtype, (3, 2))
    t[0, 1] = 0
    assert x.tolist()[1][0] == 0
    back = torch.from_dlpack(mg.zeros(2, 3, dtype=dtype)[:, 1:])
    assert (back.dtype, tuple(back.shape)) == (t.dtype, (2, 2))


def test_dlpack_shares_memory_with_torch():
    torch = pytest.importorskip("torch")
    x = mg.zeros(3)
    t = torch.from_dlpack(x)
    t[1] = 5
    assert x.tolist() == [0, 5, 0]
    x.fill_(2)
    assert t.tolist() == [2, 2, 2]
    assert x.__dlpack_device__() == (1, 0)


def test_dlpack_outlives_its_source():
    x = mg.ones(1000)
    a = np.from_dlpack(x)
    del x
    junk = [mg.zeros(1000) for _ in range(10)]
    assert a.sum() == 1000
    assert len(junk) == 10


def test_dlpack_refuses_what_numpy_cannot_export():
    with pytest.raises(BufferError, match=r"\[dlpack\] numpy cannot export bfloat16: convert to float32 first"):
        np.from_dlpack(mg.ones(2, dtype=mg.bfloat16))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_computing_on_shared_memory(dtype):
    a = np.ones((4, 3), dtype)
    x = mg.from_numpy(a)
    x.mul_(2)
    x[0] = 7
    assert a.astype(np.float64).tolist() == [[7] * 3] + [[2] * 3] * 3
