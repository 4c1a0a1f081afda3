"""A tour of minigrad in two minutes: what it does, shown by what it answers. Read from top to bottom."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F


def test_a_tensor_is_an_array():
    x = mg.tensor([[1, 2, 3], [4, 5, 6]])
    assert (x.shape, x.dtype, x.sum().item(), x[1, ::2].tolist()) == ((2, 3), mg.int64, 21, [4, 6])
    assert np.shares_memory(x.numpy(), x.T.numpy())
    assert repr(x / 2) == "tensor([[0.5000, 1.0000, 1.5000],\n        [2.0000, 2.5000, 3.0000]])"


def test_that_remembers_how_it_was_computed():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    assert repr(y) == "tensor(5., grad_fn=<Sum>)"
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_shapes_broadcast_and_gradients_are_summed_back():
    column, row = mg.ones(3, 1, requires_grad=True), mg.ones(4, requires_grad=True)
    (column * row).sum().backward()
    assert (column.grad.tolist(), row.grad.tolist()) == ([[4]] * 3, [3] * 4)


def test_gradients_of_gradients():
    x = mg.tensor(3.0, requires_grad=True)
    (first,) = mg.autograd.grad(x**3, x, create_graph=True)
    (second,) = mg.autograd.grad(first, x)
    assert (first.item(), second.item()) == (27, 18)


def test_gradients_add_up_until_cleared():
    x = mg.tensor(1.0, requires_grad=True)
    for expected in (2, 4):
        (2 * x).backward()
        assert x.grad.item() == expected
    x.grad = None


def test_no_grad_records_nothing():
    x = mg.ones(2, requires_grad=True)
    with mg.no_grad():
        assert not (x * 2).requires_grad


def test_dtypes_mix_by_rank_not_by_size():
    assert (mg.tensor([1]) + 0.5).dtype is mg.float32
    assert (mg.ones(2, dtype=mg.float16) * mg.tensor(2.0)).dtype is mg.float16
    assert (mg.tensor([200], dtype=mg.uint8) + 100).item() == 44


def test_writing_in_place_is_seen():
    x = mg.ones(3, requires_grad=True)
    y = x * 1
    y[0] = 5.0
    (y * y).sum().backward()
    assert x.grad.tolist() == [0, 2, 2]
    y = x * 1
    z = (y * y).sum()
    y.add_(1)  # too early: the product has still to be differentiated
    with pytest.raises(RuntimeError, match=r"changed in place by \[add_\] at .*test_tiny.py"):
        z.backward()


def test_every_kernel_has_a_reference_in_numpy():
    x = mg.linspace(-3, 3, 1001)
    y = x.tanh()
    with mg.tier("reference"):
        np.testing.assert_allclose(y.numpy(), x.tanh().numpy(), rtol=1e-6)


def test_random_numbers_come_from_a_seed():
    mg.manual_seed(7)
    a = mg.randn(3)
    mg.manual_seed(7)
    assert mg.randn(3).equal(a)


def test_errors_say_what_was_found_and_what_was_expected():
    with pytest.raises(
        RuntimeError, match=r"\[mul\] shapes \(2,\) and \(3,\) do not broadcast: sizes must be equal or 1"
    ):
        mg.ones(2) * mg.ones(3)
    with pytest.raises(IndexError, match=r"\[sum\] dim 2 out of range for 1 dimensions, expected -1 to 0"):
        mg.ones(2).sum(2)


def test_your_own_op():
    class Double(mg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = mg.tensor([3.0], requires_grad=True)
    assert Double.apply(x).item() == 6
    assert mg.testing.gradcheck(Double.apply, x)


def test_a_network_learns_exclusive_or():
    mg.manual_seed(0)
    x, target = mg.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), mg.tensor([0, 1, 1, 0])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = mg.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert model(x).argmax(1).equal(target)


def test_what_was_learnt_can_be_kept(tmp_path):
    model, twin = nn.Linear(2, 3), nn.Linear(2, 3)
    mg.save(model.state_dict(), tmp_path / "model.safetensors")
    twin.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    assert twin(mg.ones(1, 2)).equal(model(mg.ones(1, 2)))
