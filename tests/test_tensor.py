"""Tensor: what an array says of itself as a Tensor, and the ways out to Python. Creation is in ops/test_creation.py."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.tensor import Tensor, check_dim, wrap


def test_what_it_says_of_itself():
    x = mg.zeros(2, 3, 4, dtype=mg.float64)
    assert (x.shape, x.size(), x.size(1), x.size(-1)) == ((2, 3, 4), (2, 3, 4), 3, 4)
    assert (x.ndim, x.dim(), x.numel(), x.nelement(), len(x)) == (3, 3, 24, 24, 2)
    assert (x.dtype, x.itemsize, x.element_size(), x.nbytes) == (mg.float64, 8, 8, 192)
    assert (x.stride(), x.stride(0), x.transpose(0, 2).stride()) == ((12, 4, 1), 12, (1, 4, 12))
    assert (x.device, x.is_contiguous(), x.T.is_contiguous()) == ("cpu", True, False)
    assert (x.is_floating_point(), x.long().is_floating_point()) == (True, False)
    assert x.data_ptr() == x.view(24).data_ptr() != x.clone().data_ptr()
    with pytest.raises(IndexError, match=r"\[size\] dim 3 out of range for 3 dimensions, expected -3 to 2"):
        x.size(3)
    with pytest.raises(IndexError, match=r"\[stride\] dim -4 out of range"):
        x.stride(-4)


def test_buffers_are_aligned():
    for n in (1, 3, 100, 10_000):
        assert mg.zeros(n).data_ptr() % 64 == 0


def test_the_class_itself_makes_the_default_dtype():
    assert (Tensor([1, 2]).dtype, Tensor([1, 2]).tolist(), Tensor().shape) == (mg.float32, [1, 2], (0,))


# Ways out to Python --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "kind"), [(2.5, float), (7, int), (True, bool)])
def test_item(data, kind):
    for x in (mg.tensor(data), mg.tensor([[data]])):
        assert (x.item(), type(x.item())) == (data, kind)
        assert (float(x), int(x), bool(x)) == (float(data), int(data), bool(data))
    for size in (0, 2):
        with pytest.raises(
            RuntimeError, match=rf"\[item\] a tensor of shape \({size},\) has {size} elements, expected exactly 1"
        ):
            mg.ones(size).item()


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16, mg.float32])
def test_halves_give_python_floats(dtype):
    x = mg.tensor([1.5, 2.0], dtype=dtype)
    assert x.tolist() == [1.5, 2.0]
    assert type(x.tolist()[0]) is type(x[0].item()) is float
    assert [type(v) for v in (float(x[0]), int(x[0]), bool(x[0]))] == [float, int, bool]


def test_tolist():
    assert mg.tensor(3).tolist() == 3
    assert mg.tensor([[1, 2], [3, 4]]).T.tolist() == [[1, 3], [2, 4]]
    assert mg.zeros(2, 0).tolist() == [[], []]


def test_truth():
    assert mg.tensor([0.5])
    assert not mg.tensor(0)
    for x in (mg.ones(2), mg.ones(0)):
        with pytest.raises(
            RuntimeError, match=r"\[bool\] the truth of a tensor of shape \(\d,\) is ambiguous: use any"
        ):
            bool(x)


def test_as_an_index():
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert list(range(mg.tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match=r"\[index\] only integer tensors can be an index, found float32"):
        range(mg.tensor(3.0))


def test_length_and_iteration():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    first, second = x
    (first * 2 + second).sum().backward()
    assert x.grad.tolist() == [[2, 2], [1, 1]]
    for call in (len, list):
        with pytest.raises(TypeError, match=r"\[len\] a 0-dim tensor has no length"):
            call(mg.tensor(1))


def test_membership():
    x = mg.tensor([1, 2, 3])
    assert 2 in x
    assert mg.tensor(3) in x
    assert 5 not in x


# Copies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies_are_leaves_of_their_own(how):
    for x in (
        mg.rand(2, 3).requires_grad_(),
        mg.tensor([1, 2]),
        mg.tensor(1.5),
        mg.rand(3, 2).T,
        mg.ones(2, dtype=mg.bfloat16),
    ):
        y = how(x)
        assert type(y) is Tensor
        assert (y.dtype, y.shape, y.tolist()) == (x.dtype, x.shape, x.tolist())
        assert (y.requires_grad, y.is_leaf) == (x.requires_grad, True)
        assert not np.shares_memory(x.array, y.array)
        with mg.no_grad():
            y.mul_(0)
        assert x.array.any()


def test_deepcopy_takes_the_gradient_along():
    x = mg.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.grad.tolist() == [3, 3]
    assert not np.shares_memory(x.grad.array, y.grad.array)
    (y * 2).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([3, 3], [5, 5])
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]


def test_only_leaves_can_be_copied():
    y = mg.ones(2, requires_grad=True) * 2
    with pytest.raises(
        RuntimeError, match=r"\[deepcopy\] only leaf tensors can be deep-copied: use detach\(\) or clone"
    ):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match=r"\[pickle\] only leaf tensors can be sent to another process: use detach"):
        pickle.dumps(y)
    assert copy.deepcopy(y.detach()).tolist() == [2, 2]


def test_shallow_copies_share_memory():
    x = mg.ones(2, requires_grad=True)
    y = copy.copy(x)
    assert np.shares_memory(x.array, y.array)
    assert (y is not x, y.requires_grad) == (True, True)


def _doubled(x):
    return x * 2


def test_tensors_travel_between_processes():
    x = mg.arange(5.0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        y = pool.apply(_doubled, (x,))
    assert (y.dtype, y.tolist()) == (mg.float32, [0, 2, 4, 6, 8])
    assert (y + x).dtype is mg.float32


# Gradient bookkeeping ------------------------------------------------------------------------------------------------


def test_grad_must_fit():
    x = mg.ones(2, requires_grad=True)
    x.grad = mg.zeros(2)
    x.grad = None
    with pytest.raises(TypeError, match=r"\[grad\] expected a Tensor or None, found list"):
        x.grad = [0, 0]
    with pytest.raises(
        RuntimeError, match=r"\[grad\] expected shape \(2,\) and dtype float32, found \(3,\) and float32"
    ):
        x.grad = mg.zeros(3)
    with pytest.raises(
        RuntimeError, match=r"\[grad\] expected shape \(2,\) and dtype float32, found \(2,\) and float64"
    ):
        x.grad = mg.zeros(2, dtype=mg.float64)


def test_data():
    x = mg.ones(2, requires_grad=True)
    x.data.mul_(3)
    assert (x.tolist(), x.data.requires_grad) == ([3, 3], False)
    x.data = mg.zeros(2)
    assert (x.tolist(), x.requires_grad, x.is_leaf) == ([0, 0], True, True)
    x.data = np.ones(2, np.float32)
    assert x.tolist() == [1, 1]


def test_requires_grad():
    x = mg.ones(2)
    assert (x.requires_grad, x.is_leaf, x.grad_fn) == (False, True, None)
    assert x.requires_grad_() is x
    y = x * 2
    assert (x.is_leaf, y.is_leaf, y.requires_grad, repr(y.grad_fn)) == (True, False, True, "<Mul>")
    x.requires_grad = False
    assert not x.requires_grad
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match=r"\[requires_grad_\] only a leaf can stop requiring a gradient: use detach"):
        y.requires_grad_(False)
    with pytest.raises(
        RuntimeError, match=r"\[requires_grad_\] only floating dtypes can require a gradient, found int64"
    ):
        mg.tensor([1]).requires_grad_()


def test_detach():
    x = mg.ones(2, requires_grad=True)
    y = (x * 2).detach()
    assert (y.requires_grad, y.is_leaf) == (False, True)
    z = x * 2
    assert z.detach_() is z
    assert z.is_leaf
    with pytest.raises(RuntimeError, match=r"\[detach_\] cannot detach a view in place: use detach"):
        (x * 2)[0].detach_()


def test_check_dim():
    assert [check_dim("op", d, 3) for d in (0, 2, -1, -3, np.int64(1))] == [0, 2, 2, 0, 1]
    assert check_dim("op", -1, 0) == check_dim("op", 0, 0) == 0
    for wrong in (1.0, "a", True, None):
        with pytest.raises(TypeError, match=rf"\[op\] dim must be an int, found {type(wrong).__name__}"):
            check_dim("op", wrong, 3)


def test_wrap_shares_and_checks_nothing():
    a = np.zeros(2, np.float32)
    x = wrap(a)
    assert x.array is a
    assert not x.requires_grad
