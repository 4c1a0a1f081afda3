"""The in-place forms: x.add_(y), x += y, copy_, fill_, zero_; into views, and the rules that keep gradients right."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check
from tests.ops.inputs import BINARY

UNARY = ["neg", "sign", "abs", "exp", "log", "sqrt", "relu", "sigmoid", "tanh", "erf"]
SMALL = [((3, 4),), ((0,),), ((),), ((33,),)]
FITTING = [s for s in BINARY if np.broadcast_shapes(*s) == s[0]]


def row(name, shapes, *numbers, ulps=4, **options):
    """y.name_(...), with the old y used before and the new one after, so that the gradients of both count."""

    def ours(x, *tensors):
        y = x * 1.5
        z = y * 3
        assert getattr(y, f"{name}_")(*tensors, *numbers) is y
        return y * 2 + z

    def torchs(torch, x, *tensors):
        y = x * 1.5
        z = y * 3
        return getattr(y, f"{name}_")(*tensors, *numbers) * 2 + z

    return Case(
        f"{name}_{numbers}",
        ours,
        shapes,
        torch=torchs,
        values=(0.5, 2),
        ulps=ulps,
        rtol=1e-5,
        atol=1e-5,
        extremes=False,
        **options,
    )


CASES = [row(name, SMALL, twice=name != "sign") for name in UNARY]
CASES += [row(name, FITTING, ulps=8) for name in ("add", "sub", "mul", "div", "pow")]
CASES += [row(name, SMALL, 2.5, ulps=8) for name in ("add", "sub", "mul", "div", "pow")]
CASES += [row("clamp", SMALL, 0.9, 1.4), row("fill", SMALL, 0.5), row("zero", SMALL)]
CASES += [row("copy", [s for s in FITTING if s[0] != (5,)], kernels=("copy_forward",))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


# Views: a write to a view is a write to its base, and the other way round --------------------------------------------


def write_row(x, y):
    x = x * 2
    x[1].mul_(y)
    return x


def write_transposed(x, y):
    x = x * 2
    x.t().add_(y.unsqueeze(1))
    return x * x


def write_view_of_view(x, y):
    x = x * 2
    x[1:].t()[0].copy_(y[:2] * y[:2])
    return x * x


def write_base_then_read_view(x, y):
    x = x * 2
    view = x[0]
    x.mul_(y)
    return view * view, x


def write_twice(x, y):
    x = x * 2
    row, column = x[0], x[:, 1]
    row.mul_(3)
    column.add_(row[0])
    return x * x, row * y, column


def write_a_leaf_without_gradient(x, y):
    buffer = mg.zeros(3, 4, dtype=x.dtype)
    for i in range(3):
        buffer[i].copy_(x[i] * y)
    return buffer * buffer


WRITES = [write_row, write_transposed, write_view_of_view, write_base_then_read_view, write_twice]


@pytest.mark.parametrize("write", [*WRITES, write_a_leaf_without_gradient], ids=lambda f: f.__name__)
def test_writes_through_views(write):
    def torchs(torch, x, y):
        return write(x, y) if write is not write_a_leaf_without_gradient else (x * y) ** 2

    check(Case(write.__name__, write, [((3, 4), (4,))], torch=torchs, ulps=8, rtol=1e-5, extremes=False))


def test_a_view_read_without_recording_keeps_its_history():
    x = mg.ones(3, requires_grad=True)
    y = x * 2
    view = y[:2]
    y.mul_(3)
    with mg.no_grad():
        assert view.sum().item() == 12
    view.sum().backward()
    assert x.grad.tolist() == [6, 6, 0]


def test_views_of_views_in_a_long_chain():
    """Each view remembers how to take it from the base: 3,000 steps must not exhaust the stack."""
    x = mg.ones(4, requires_grad=True)
    y = view = x * 1
    for _ in range(1_500):
        view = view.view(2, 2).view(4)
    y.mul_(2)
    view.sum().backward()
    assert x.grad.tolist() == [2.0] * 4


# The rules -----------------------------------------------------------------------------------------------------------


def test_operators_write_in_place():
    x = y = mg.tensor([4.0, 9.0])
    x += 2
    x -= mg.tensor([1.0, 1.0])
    x *= 2
    x /= 5
    x **= 2
    assert x is y
    assert y.tolist() == [4.0, 16.0]
    n = m = mg.tensor([7, 8])
    n //= 2
    n %= 3
    n &= 3
    n |= 4
    n ^= 1
    assert n is m
    assert m.tolist() == [5, 4]


def test_versions_count_the_writes():
    x = mg.ones(3)
    view, twin = x[1:], x.detach()
    assert x._version == 0
    x.add_(1)
    view.zero_()
    twin[0] = 5
    assert x._version == view._version == twin._version == 3
    assert x.tolist() == [5.0, 0.0, 0.0]
    assert (x + 1)._version == 0


def test_a_saved_tensor_must_not_change():
    x = mg.ones(3, requires_grad=True)
    y = x * 1
    z = y.exp()
    z.add_(1)  # exp needs its result
    with pytest.raises(
        RuntimeError, match=r"\[Exp\] an array of shape \(3,\) .* in place by \[add_\] at .*test_inplace.py:\d+"
    ):
        z.sum().backward()


@pytest.mark.parametrize(
    "write", [lambda y: y.add_(1), lambda y: y[0].zero_(), lambda y: y.detach().mul_(2), lambda y: y.view(3).fill_(1)]
)
def test_any_way_of_changing_it_is_seen(write):
    x = mg.ones(3, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    with mg.no_grad():
        write(y)
    with pytest.raises(RuntimeError, match=r"\[Mul\] .*clone\(\) it first"):
        z.backward()


def test_what_is_not_saved_may_change():
    x = mg.ones(3, requires_grad=True)
    y = x * 1
    z = (y + 1).sum()  # add saves nothing
    y.mul_(5)
    z.backward()
    assert x.grad.tolist() == [1.0] * 3


def test_writing_before_saving_is_fine():
    x = mg.ones(3, requires_grad=True)
    y = x * 1
    y.mul_(2).add_(1)
    (y * y).sum().backward()
    assert x.grad.tolist() == [12.0] * 3


def test_writing_a_tensor_into_itself():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    y.add_(y)
    y.copy_(y)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([2.0, 8.0], [4.0, 8.0])
    z = mg.arange(4.0)
    z[1:].copy_(z[:-1])
    assert z.tolist() == [0, 0, 1, 2]
    z[1:].add_(z[:-1])
    assert z.tolist() == [0, 0, 1, 3]


def test_untracked_tensors_join_the_graph():
    x, buffer = mg.ones(3, requires_grad=True), mg.zeros(3)
    buffer.add_(x * 2)
    assert buffer.requires_grad
    buffer.sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_no_grad_writes_leave_the_graph_alone():
    x = mg.ones(3, requires_grad=True)
    with mg.no_grad():
        x.mul_(5)
        x -= 1
    assert (x.is_leaf, x.requires_grad, x.tolist()) == (True, True, [4.0] * 3)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0] * 3


LEAF = mg.ones(3, requires_grad=True)
WRONG = [
    (
        lambda: LEAF.add_(1),
        r"\[add_\] a leaf that requires a gradient cannot be changed in place: use no_grad\(\) or clone",
    ),
    (lambda: LEAF[1:].zero_(), r"\[copy_\] a view of a leaf that requires a gradient cannot be changed in place"),
    (
        lambda: LEAF.detach().add_(mg.ones(2, 3)),
        r"\[add_\] the result has shape \(2, 3\), which does not fit in place into",
    ),
    (lambda: mg.tensor([1]).add_(0.5), r"\[add_\] a result of dtype float32 cannot be stored in place in int64"),
    (lambda: mg.tensor([1]).exp_(), r"\[exp_\] a result of dtype float32 cannot be stored in place in int64"),
    (lambda: mg.tensor([True]).add_(1), r"\[add_\] a result of dtype int64 cannot be stored in place in bool"),
    (lambda: mg.ones(1).expand(3).add_(1), r"\[add_\] several elements of this tensor share memory"),
    (lambda: mg.ones(1).expand(3).copy_(mg.ones(3)), r"\[copy_\] several elements of this tensor share memory"),
    (lambda: mg.from_numpy(np.broadcast_to(np.zeros(1), 3)).zero_(), r"\[fill_\] several elements .* read-only"),
    (lambda: mg.ones(2).copy_(mg.ones(3)), r"\[expand\] sizes \(2,\) do not fit shape \(3,\)"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
    assert LEAF.tolist() == [1, 1, 1]


def test_dtypes():
    x = mg.ones(2, dtype=mg.float16)
    x.add_(mg.tensor([0.5, 1e10], dtype=mg.float64))
    assert (x.dtype, x.tolist()) == (mg.float16, [1.5, np.inf])
    assert mg.zeros(2, dtype=mg.int64).copy_(mg.tensor([1.7, -1.7])).tolist() == [1, -1]
    assert mg.tensor([1, 2]).add_(mg.tensor([1, 1], dtype=mg.int8)).tolist() == [2, 3]
    assert mg.tensor([1, 2]).gt_(1).tolist() == [0, 1]
