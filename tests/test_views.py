"""Views and in-place writes, by random programs: each runs in minigrad and in PyTorch, step by step the same.

A program works on a pool of tensors. Its steps take a view of one, compute a new one, or write into one, so that views
of views, several views of one base, writes to either and reads of both come in any order. What backward gives must be
PyTorch's gradient; where PyTorch gives none (it saves more than we do, and refuses overlapping writes), that of central
differences; or an error where a saved array changed.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import check_backwards, gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="torch is not installed: random in-place programs have no oracle")

# Steps: functions of a tensor t and another o of the pool ------------------------------------------------------------


def fitting(o, t):
    """`o`, or one number of it where it does not broadcast to the shape of t."""
    try:
        fits = np.broadcast_shapes(tuple(o.shape), tuple(t.shape)) == tuple(t.shape)
    except ValueError:
        fits = False
    return o if fits else o.mean() if o.numel() else 0.5


def put(t, index, value):
    t[index] = value


def add_at(t, index, value):
    t[index] += value


VIEWS = {
    "t[1:]": lambda t, o: t[1:] if t.ndim else t,
    "t[-1]": lambda t, o: t[-1] if t.ndim and t.shape[0] else t,
    "t[..., ::2]": lambda t, o: t[..., ::2] if t.ndim else t,
    "t[None]": lambda t, o: t[None],
    "transpose": lambda t, o: t.transpose(0, -1) if t.ndim else t,
    "reshape": lambda t, o: t.reshape(-1),
    "unsqueeze": lambda t, o: t.unsqueeze(-1),
    "narrow": lambda t, o: t.narrow(0, 0, t.shape[0] // 2) if t.ndim else t,
}
MADE = {
    "tanh": lambda t, o: t.tanh(),
    "t * o": lambda t, o: t * fitting(o, t),
    "t + o": lambda t, o: t + fitting(o, t),
    "t * t": lambda t, o: t * t * 0.5,
    "t[[0, 0]]": lambda t, o: t[[0, 0]] if t.ndim and t.shape[0] else t * 1,
}
WRITES = {
    "mul_ number": lambda t, o: t.mul_(0.75),
    "add_": lambda t, o: t.add_(fitting(o, t)),
    "mul_": lambda t, o: t.mul_(fitting(o, t)),
    "tanh_": lambda t, o: t.tanh_(),
    "zero_": lambda t, o: t.zero_(),
    "copy_": lambda t, o: t.copy_(fitting(o, t)) if hasattr(fitting(o, t), "shape") else None,
    "masked_fill_": lambda t, o: t.masked_fill_(t.detach() > 0.1, 0.25),
    "t[mask] = o": lambda t, o: put(t, t.detach() > 0, o.mean() if o.numel() else 0.5),
    "t[...] = o": lambda t, o: put(t, ..., fitting(o, t)),
    "t[1:] = o": lambda t, o: put(t, slice(1, None), fitting(o, t[1:])) if t.ndim else None,
    "t[[0]] += o": lambda t, o: add_at(t, [0], fitting(o, t[:1])) if t.ndim and t.shape[0] else None,
    "t[..., 0] += o": lambda t, o: add_at(t, (..., 0), fitting(o, t[..., 0])) if t.ndim and t.shape[-1] else None,
}
STEPS = {**VIEWS, **MADE, **WRITES}
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=9
)


def run(program, module, arrays, requires_grad=True):
    """The loss, a weighted sum of all that is in the pool at the end, and the leaves."""
    a, b = leaves = [module.tensor(x, requires_grad=requires_grad) for x in arrays]
    pool = [a * 1.5, b + 0.0, a[:, :1] * 2.0]
    for name, i, j in program:
        result = STEPS[name](pool[i % len(pool)], pool[j % len(pool)])
        if name not in WRITES:
            pool.append(result)
    weights = [module.tensor(np.cos(np.arange(t.numel()) + k)) for k, t in enumerate(pool)]
    return sum((t.reshape(-1) * w).sum() for t, w in zip(pool, weights, strict=True)), leaves


def gradients(program, module, arrays):
    loss, leaves = run(program, module, arrays)
    loss.backward()
    return float(loss.detach()), [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]


def differences(program, arrays):
    def loss(i, place, step):
        moved = [x.copy() for x in arrays]
        moved[i][place] += step
        return float(run(program, mg, moved, requires_grad=False)[0])

    entries = [(i, place) for i, x in enumerate(arrays) for place in np.ndindex(x.shape)]
    grads = [np.zeros_like(x) for x in arrays]
    for i, place in entries:
        grads[i][place] = (loss(i, place, 1e-6) - loss(i, place, -1e-6)) / 2e-6
    return loss(0, (0, 0), 0.0), grads


def outcome(program, module, arrays):
    try:
        return gradients(program, module, arrays)
    except RuntimeError as error:
        return error


@settings(max_examples=250)
@given(PROGRAMS, st.integers(0, 99))
def test_random_programs(program, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((3, 4)), rng.standard_normal(4)]
    ours, theirs = outcome(program, mg, arrays), outcome(program, torch, arrays)
    if isinstance(ours, RuntimeError):
        assert "changed in place" in str(ours) and isinstance(theirs, RuntimeError), f"ours alone raised {ours}"
        return
    tolerance = 1e-10
    if isinstance(theirs, RuntimeError):
        theirs, tolerance = differences(program, arrays), 1e-4
    np.testing.assert_allclose(ours[0], theirs[0], tolerance, tolerance)
    for found, expected in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(found, expected, tolerance, 10 * tolerance)


# Where minigrad and PyTorch part on purpose, or a rule is worth a row of its own -------------------------------------


def test_a_view_made_under_no_grad_is_not_written_to_while_recording():
    x = mg.ones(3, requires_grad=True) * 2
    with mg.no_grad():
        view = x[1:]
        view.mul_(2)
    with pytest.raises(RuntimeError, match=r"\[mul_\] this view was made under no_grad\(\)"):
        view.mul_(2)
    assert not (view * 2).requires_grad and x[1:].mul_(2).requires_grad


def test_an_overwritten_tensor_stays_in_the_graph():
    a = mg.ones(3, requires_grad=True)
    x = a * 2
    x.fill_(5)
    assert x.requires_grad and not x.is_leaf
    x.sum().backward()
    assert a.grad.tolist() == [0, 0, 0]


def test_a_reshape_that_had_to_copy_is_no_view():
    a = mg.ones(2, 3, requires_grad=True)
    x = a * 1
    copied = x.T.reshape(6)
    copied.mul_(100)
    (x.sum() + copied.sum()).backward()
    assert x.tolist() == [[1, 1, 1]] * 2 and a.grad.tolist() == [[101, 101, 101]] * 2


def test_second_gradients_through_views():
    def function(x):
        y = x * x
        y[0] = x[1] * x[2]
        y[1:].mul_(x[:2])
        return y * y

    x = mg.tensor([0.5, -1.5, 2.0], requires_grad=True)
    for checker in (gradcheck, check_backwards, gradgradcheck):
        checker(function, x)
