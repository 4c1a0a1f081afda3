"""Tensors from data, from a shape, from a range, and from other libraries' memory."""

import math
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.dtypes import ALL

DATA = [
    (1, mg.int64), (1.5, mg.float32), (True, mg.bool), ([], mg.float32), ([1, 2.5], mg.float32), ([True, 2], mg.int64),
    ([[1, 2], [3, 4]], mg.int64), ((1.0, (2)), mg.float32), (np.float64(1.5), mg.float64), (np.int8(3), mg.int8),
    (np.zeros((2, 0)), mg.float64), (np.arange(3, dtype=np.int16), mg.int16),
    ([np.array([1, 2]), np.array([3, 4])], mg.int64),
    (range(3), mg.int64), ([[]], mg.float32), (np.array(True), mg.bool), ([1, 2**40], mg.int64),
]  # fmt: skip


@pytest.mark.parametrize(("data", "dtype"), DATA, ids=lambda v: repr(v)[:30])
def test_tensor_is_torchs(data, dtype):
    x = mg.tensor(data)
    assert x.dtype is dtype
    torch = pytest.importorskip("torch")
    expected = torch.tensor(data if not isinstance(data, list) or not len(data) or not isinstance(data[0], np.ndarray)
                            else np.array(data))  # fmt: skip
    assert (x.dtype.name, x.shape, x.tolist()) == (str(expected.dtype)[6:], tuple(expected.shape), expected.tolist())


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_tensor_of_every_dtype(dtype):
    for form in (dtype, dtype.name, dtype.type):
        x = mg.tensor([0, 1], dtype=form)
        assert (x.dtype, x.tolist()) == (dtype, [0, 1])


def test_python_types_as_dtypes():
    assert mg.tensor(1, dtype=float).dtype is mg.float32
    assert mg.tensor(1.5, dtype=int).dtype is mg.int64
    assert mg.tensor(1, dtype=bool).dtype is mg.bool


def test_tensor_copies():
    a = np.zeros(2, np.float32)
    x, y = mg.tensor(a), mg.tensor(mg.from_numpy(a))
    a[0] = 1
    assert x.tolist() == y.tolist() == [0, 0]


def test_tensors_inside_lists():
    assert mg.tensor([mg.tensor(1.0), mg.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert mg.tensor([[mg.tensor([1, 2]), mg.tensor([3, 4])]]).shape == (1, 2, 2)


def test_a_tensor_made_of_a_tracked_one_is_a_leaf():
    x = mg.tensor([1.0], requires_grad=True) * 2
    y = mg.tensor(x, requires_grad=True)
    assert y.is_leaf
    assert y.requires_grad


WRONG = [
    (lambda: mg.tensor([[1], [2, 3]]), ValueError, r"\[tensor\] nested sequences must have equal lengths"),
    (lambda: mg.tensor("text"), TypeError, r"\[tensor\] expected numbers, found str"),
    (lambda: mg.tensor(None), TypeError, r"\[tensor\] expected numbers, found NoneType"),
    (lambda: mg.tensor([1, None]), TypeError, r"\[tensor\] expected numbers, found list of object"),
    (lambda: mg.tensor(1 + 2j), TypeError, r"\[tensor\] expected numbers, found complex"),
    (lambda: mg.tensor({}), TypeError, r"\[tensor\] expected numbers, found dict"),
    (lambda: mg.tensor(1, dtype="complex64"), TypeError, r"\[dtype\] complex64 is not supported, expected one of bool"),
    (
        lambda: mg.tensor(1, device="cuda"),
        RuntimeError,
        r"\[tensor\] device 'cuda' is not available, expected 'cpu' or",
    ),
    (
        lambda: mg.tensor(1, requires_grad=True),
        RuntimeError,
        r"only floating dtypes can require a gradient, found int64",
    ),
    (lambda: mg.zeros(-1), RuntimeError, r"\[zeros\] sizes must not be negative, found \(-1,\)"),
    (lambda: mg.ones(1.5), TypeError, r"\[ones\] sizes must be ints, found 1.5"),
    (lambda: mg.ones(True), TypeError, r"\[ones\] sizes must be ints, found True"),
    (lambda: mg.from_numpy([1]), TypeError, r"\[from_numpy\] expected a numpy array, found list"),
    (lambda: mg.from_numpy(np.zeros(1, ">f4")), TypeError, r"\[dtype\] >f4 is not supported"),
    (lambda: mg.from_numpy(np.zeros(1, "M8[s]")), TypeError, r"\[dtype\] datetime64\[s\] is not supported"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
@pytest.mark.cpu_only("says that there is no GPU")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# From a shape --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_shapes_as_numbers_or_as_one_tuple(name):
    function = getattr(mg, name)
    for args in ((2, 3), ((2, 3),), ([2, 3],), (np.int64(2), mg.tensor(3))):
        assert function(*args).shape == (2, 3)
    assert (function().shape, function(()).shape, function(0, 2).shape) == ((), (), (0, 2))
    x = function(2, dtype=mg.float64, requires_grad=True)
    assert (x.dtype, x.requires_grad, x.is_leaf) == (mg.float64, True, True)


def test_values():
    assert mg.zeros(2).tolist() == [0, 0]
    assert mg.ones(2, dtype=mg.bool).tolist() == [True, True]
    assert mg.full((2,), 1.5).tolist() == [1.5, 1.5]
    assert (mg.full((1,), 2).dtype, mg.full((1,), True).dtype, mg.full((), 2.0).dtype) == (
        mg.int64,
        mg.bool,
        mg.float32,
    )
    assert mg.full((2,), 3, dtype=mg.float16).dtype is mg.float16


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"])
def test_likes(name):
    x = mg.ones(2, 3, dtype=mg.float64, requires_grad=True)
    y = getattr(mg, name)(x)
    assert (y.shape, y.dtype, y.requires_grad) == ((2, 3), mg.float64, False)
    assert getattr(mg, name)(x, dtype=mg.float32, requires_grad=True).dtype is mg.float32
    value = {"zeros_like": 0, "ones_like": 1}.get(name)
    assert value is None or (y == value).all()


def test_full_like():
    assert mg.full_like(mg.tensor([1, 2]), 7).tolist() == [7, 7]
    assert mg.full_like(mg.tensor([1, 2]), 0.5, dtype=mg.float32).tolist() == [0.5, 0.5]


def test_default_dtype():
    mg.set_default_dtype(mg.float64)
    for x in (
        mg.tensor(1.0),
        mg.zeros(1),
        mg.arange(0.0, 1.0),
        mg.linspace(0, 1, 2),
        mg.eye(1),
        mg.rand(1),
        mg.full((1,), 1.0),
    ):
        assert x.dtype is mg.float64
    assert (mg.tensor([1]) / 2).dtype is mg.float64
    assert mg.Tensor([1]).dtype is mg.float64
    with pytest.raises(TypeError, match=r"\[set_default_dtype\] only floating dtypes are supported, found int64"):
        mg.set_default_dtype(mg.int64)


# Shared memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [mg.from_numpy, mg.as_tensor, mg.from_dlpack, np.from_dlpack])
def test_memory_is_shared(share):
    a = np.zeros(3, np.float32)
    x = share(a)
    a[0] = 5
    assert x.tolist() == [5, 0, 0]


@pytest.mark.cpu_only("says that there is no GPU")
def test_as_tensor():
    x = mg.ones(2)
    assert mg.as_tensor(x) is x
    assert mg.as_tensor(x, dtype=mg.int64).tolist() == [1, 1]
    assert mg.as_tensor([1, 2]).dtype is mg.int64
    assert mg.as_tensor(np.zeros(2), dtype=mg.float32).dtype is mg.float32
    with pytest.raises(RuntimeError, match=r"\[as_tensor\] device 'cuda' is not available"):
        mg.as_tensor(x, device="cuda")


def test_equal_dtypes_become_one_object():
    """numpy has dtype objects that are equal and not the same: after pickle, and long long beside long."""
    unpickled = pickle.loads(pickle.dumps(np.array([True, False])))
    assert mg.from_numpy(unpickled).dtype is mg.bool
    assert mg.where(mg.from_numpy(unpickled), 1.0, 0.0).tolist() == [1, 0]
    assert mg.from_numpy(np.ones(2, np.longlong)).dtype is mg.int64
    x = mg.ones(1)
    x.data = pickle.loads(pickle.dumps(np.ones(2, np.float32)))
    assert x.dtype is mg.float32


def test_any_layout_is_taken():
    a = np.arange(24.0).reshape(2, 3, 4)
    for view in (a.T, a[:, ::2], a[::-1], a[..., 1:-1], np.broadcast_to(a[0], (2, 3, 4))):
        np.testing.assert_array_equal(mg.from_numpy(view).numpy(), view)
        np.testing.assert_allclose((mg.from_numpy(view) * 2).numpy(), view * 2)


def test_is_tensor():
    assert mg.is_tensor(mg.ones(1))
    assert not mg.is_tensor(np.ones(1))


def test_nan_and_infinity_from_lists():
    x = mg.tensor([math.nan, math.inf, -math.inf])
    assert (x.isnan().tolist(), x.isinf().tolist()) == ([True, False, False], [False, True, True])
