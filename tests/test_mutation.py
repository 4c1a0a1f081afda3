"""The log of in-place writes: no stale gradient goes unseen, and no alarm is false."""

import gc

import numpy as np
import pytest

import minigrad as mg
from minigrad import mutation


def leaf(*values):
    return mg.tensor([float(v) for v in values], requires_grad=True)


def stale(write, use=lambda h: h * h):
    """Build a graph that saved h, write, walk back."""
    x = leaf(1, 2, 3)
    h = x * 1
    y = use(h).sum()
    with mg.no_grad():
        write(h)
    y.backward()
    return x.grad.tolist()


WRITES = {
    "add_": lambda h: h.add_(1),
    "iadd": lambda h: h.__iadd__(1),
    "setitem": lambda h: h.__setitem__(0, 5.0),
    "view": lambda h: h[1:].zero_(),
    "view of a view": lambda h: h.view(3, 1).t().mul_(2),
    "detached": lambda h: h.detach().fill_(0),
    "data": lambda h: h.data.exp_(),
    "copy_": lambda h: h.copy_(mg.ones(3)),
    "normal_": lambda h: h.normal_(),
    "overwritten by a number": lambda h: h.zero_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_every_way_of_writing_is_seen(name):
    with pytest.raises(
        RuntimeError, match=r"\[Mul\] an array of shape \(3,\) that its backward needs was changed in place by \[\w+\]"
    ):
        stale(WRITES[name])


def test_the_message_names_the_op_and_the_line():
    with pytest.raises(
        RuntimeError, match=r"by \[mul_\] at .*test_mutation\.py:\d+ after it was saved: clone\(\) it first, or use"
    ):
        stale(lambda h: h.mul_(2))


SAVED = {  # ops that need their result, and ops that need an argument
    "exp": lambda h: h.exp(), "tanh": lambda h: h.tanh(), "softmax": lambda h: h.softmax(0), "log": lambda h: h.log(),
    "max": lambda h: h.amax(), "prod": lambda h: h.prod(), "matmul": lambda h: h @ h, "var": lambda h: h.var(),
    "pow": lambda h: h**3, "div": lambda h: 1 / h, "logsumexp": lambda h: h.logsumexp(0),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_results_are_guarded_as_arguments_are(name):
    x = leaf(1, 2, 3)
    h = x * 1
    y = SAVED[name](h)
    with mg.no_grad():
        (y if name in ("exp", "tanh", "softmax") else h).add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


NOT_NEEDED = {
    "add": lambda h: h + 1, "sum": lambda h: h.sum(), "times a number": lambda h: h * 3, "view": lambda h: h.view(3, 1),
    "by a constant": lambda h: h * mg.ones(3), "neg": lambda h: -h, "mean": lambda h: h.mean(),
    "cat": lambda h: mg.cat([h, h]), "linear": lambda h: mg.nn.functional.linear(h, mg.ones(2, 3)),
    "clone": lambda h: h.clone(), "cast": lambda h: h.double(),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_no_alarm_where_the_value_is_not_needed(name):
    expected = stale(lambda h: None, NOT_NEEDED[name])
    assert stale(lambda h: h.mul_(7), NOT_NEEDED[name]) == expected


def test_no_alarm_for_writes_before():
    x = leaf(1, 2, 3)
    h = x * 1
    h.mul_(2).add_(1)
    (h * h).sum().backward()
    assert x.grad.tolist() == [12, 20, 28]


def test_no_alarm_for_a_neighbour_in_memory():
    """A buffer whose memory is handed out again after its owner died is a new one."""
    x = leaf(1, 2, 3)
    for _ in range(200):
        h = x * 1
        y = (h * h).sum()
        scratch = mg.zeros(3)
        scratch.add_(1).mul_(2)
        del scratch
        fresh = mg.zeros(3)
        (y + (fresh * x).sum()).backward()
        assert x.grad.tolist() == [2, 4, 6]
        x.grad = None


def train(steps, model, optimizer, loss):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("make", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_no_alarm_in_training(make):
    """Parameters are saved by linear and written by the optimizer, step after step."""
    model = mg.nn.Sequential(mg.nn.Linear(5, 8), mg.nn.Tanh(), mg.nn.Linear(8, 1))
    optimizer, x = getattr(mg.optim, make)(model.parameters(), lr=0.01), mg.randn(16, 5)
    losses = train(30, model, optimizer, lambda m: ((m(x) - x[:, :1]) ** 2).mean())
    assert losses[-1] < losses[0]


def test_an_update_between_forward_and_backward_is_an_alarm():
    w, x = mg.rand(3, 3).requires_grad_(), mg.rand(2, 3).requires_grad_()
    y = (x @ w).sum()
    optimizer = mg.optim.SGD([w], lr=0.1)
    w.grad = mg.ones(3, 3)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"\[Matmul\] .* changed in place by \[\w+\]"):
        y.backward()


def test_gradients_may_be_written_between_backwards():
    x = leaf(1, 2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    x.grad.zero_()
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_accumulation_counts_as_a_write():
    x = leaf(1, 2)
    (x * 2).sum().backward()
    g = x.grad
    z = (x * g).sum()
    (x * 2).sum().backward()  # adds into g, which z has saved
    with pytest.raises(RuntimeError, match=r"\[Mul\] .* changed in place by \[backward\]"):
        z.backward()


def test_versions():
    x = mg.zeros(3)
    assert x._version == 0
    x.add_(1)
    x[0] = 2
    assert (x._version, x[1:]._version, x.detach()._version, (x + 1)._version) == (2, 2, 2, 0)
    assert mg.from_numpy(x.numpy())._version == 2


def test_the_log_forgets_what_has_died():
    gc.collect()
    before = len(mutation._log)
    for _ in range(100):
        mg.zeros(3).add_(1)
        mg.from_numpy(np.zeros(3)).zero_()
    gc.collect()
    assert len(mutation._log) <= before + 1


def test_saved_indices_are_guarded_too():
    x, index = mg.rand(4, 2).requires_grad_(), mg.tensor([0, 2])
    y = x[index].sum()
    index.fill_(3)
    with pytest.raises(RuntimeError, match="changed in place by"):
        y.backward()
