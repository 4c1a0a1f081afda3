"""Views and copies: reshape, permute, expand and their relatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.ops.harness import Case, check


def row(text, function, shapes, numpy=None, torch=None, **options):
    """`function` serves minigrad and torch alike unless `torch` is given."""
    torch = torch or (lambda torch, *args: function(*args))
    return Case(text, function, shapes, numpy=numpy, torch=torch, **options)


A, B = [((2, 3, 4),), ((33, 3, 44),)], [((2, 3, 4),), ((2, 0, 4),), ((1, 3, 1),)]
CASES = [
    row("reshape", lambda x: x.reshape(4, -1), A, lambda x: x.reshape(4, -1)),
    row("reshape of a transposed", lambda x: x.transpose(0, 2).reshape(-1), A, lambda x: x.T.reshape(-1)),
    row("view", lambda x: x.contiguous().view((-1, 2)), A, lambda x: x.reshape(-1, 2)),
    row("view_as", lambda x, y: x.contiguous().view_as(y) * y, [((2, 6), (3, 4))]),
    row("reshape_as", lambda x, y: x.reshape_as(y) * y, [((2, 6), (3, 4))]),
    row("flatten", lambda x: x.flatten(), B, np.ravel),
    row("flatten(1)", lambda x: x.flatten(1), B),
    row("flatten(0, 1)", lambda x: x.flatten(0, 1), B),
    row("flatten of a number", lambda x: x.flatten(), [((),)], np.ravel),
    row("unflatten", lambda x: x.unflatten(1, (3, -1)), [((2, 6, 2),), ((1, 0),)]),
    row("squeeze", lambda x: x.squeeze(), [((1, 3, 1),), ((2, 3),), ((1,),), ((),)], np.squeeze),
    row("squeeze(0)", lambda x: x.squeeze(0), [((1, 3, 1),), ((2, 3),)]),
    row("squeeze((0, -1))", lambda x: x.squeeze((0, -1)), [((1, 3, 1),), ((1, 3),)]),
    row("unsqueeze(1)", lambda x: x.unsqueeze(1), [((2, 3),), ((2,),)], lambda x: np.expand_dims(x, 1)),
    row("unsqueeze(-1)", lambda x: x.unsqueeze(-1), [((2, 3),), ((),)], lambda x: np.expand_dims(x, -1)),
    row("expand", lambda x: x.expand(5, -1, 3), [((2, 1),), ((1, 1),), ((0, 1),), ((4, 3),)]),
    row("expand of a number", lambda x: x.expand(2, 3), [((),)], lambda x: np.broadcast_to(x, (2, 3))),
    row("expand_as", lambda x, y: x.expand_as(y) * y, [((3, 1), (2, 3, 4))]),
    Case(
        "broadcast_to",
        lambda x: mg.broadcast_to(x, (4, 3, 2)),
        [((3, 1),)],
        numpy=lambda x: np.broadcast_to(x, (4, 3, 2)),
    ),
    row("clone", lambda x: x.clone(), [*B, ((),)], np.copy),
    row("contiguous", lambda x: x.transpose(0, 1).contiguous(), B, lambda x: x.swapaxes(0, 1)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


SHARING = {
    "reshape": lambda x: x.reshape(3, 2),
    "view": lambda x: x.view(6),
    "flatten": lambda x: x.flatten(),
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1),
    "squeeze": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "expand": lambda x: x.expand(4, 2, 3),
    "T": lambda x: x.T,
    "detach": lambda x: x.detach(),
    "slice": lambda x: x[:, 1:],
}


@pytest.mark.parametrize("name", SHARING)
def test_views_share_memory(name):
    x = mg.zeros(2, 3)
    y = SHARING[name](x)
    assert np.shares_memory(x.numpy(), y.numpy())
    x.fill_(7)
    assert (y == 7).all()


@pytest.mark.parametrize(
    "copy", [lambda x: x.clone(), lambda x: x.T.reshape(-1), lambda x: x.T.contiguous(), lambda x: x + 0]
)
def test_copies_do_not(copy):
    x = mg.zeros(2, 3)
    y = copy(x)
    x.fill_(7)
    assert (y == 0).all()


def test_contiguous_returns_what_already_is():
    x = mg.zeros(2, 3)
    assert x.contiguous() is x
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()


def test_view_refuses_to_copy():
    with pytest.raises(RuntimeError, match=r"\[view\] shape \(6,\) is not a view of strides \(1, 3\): use reshape"):
        mg.zeros(2, 3).T.view(6)


@given(st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_any_chain_of_views_is_numpys(shape, rng):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    t = mg.tensor(x)
    for _ in range(5):
        order = rng.sample(range(x.ndim), x.ndim)
        x, t = x.transpose(order), t.permute(order)
        at = rng.randint(0, x.ndim)
        x, t = np.expand_dims(x, at), t.unsqueeze(at)
        if rng.random() < 0.5:
            x, t = x.reshape(-1), t.flatten()
    np.testing.assert_array_equal(t.numpy(), x)


X = mg.zeros(2, 3)
WRONG = [
    (
        lambda: X.reshape(4, 2),
        RuntimeError,
        r"\[reshape\] shape \(4, 2\) is not possible for 6 elements of shape \(2, 3\)",
    ),
    (lambda: X.reshape(-1, -1), RuntimeError, r"\[reshape\] shape \(-1, -1\) is not possible"),
    (lambda: X.reshape(-2, 3), RuntimeError, r"\[reshape\] shape \(-2, 3\) is not possible"),
    (lambda: X.reshape(4, -1), RuntimeError, r"\[reshape\] shape \(4, -1\) is not possible"),
    (lambda: mg.zeros(0).reshape(-1, 0), RuntimeError, r"\[reshape\] shape \(-1, 0\) is not possible"),
    (lambda: X.flatten(1, 0), RuntimeError, r"\[flatten\] start_dim 1 comes after end_dim 0"),
    (lambda: X.unsqueeze(3), IndexError, r"\[unsqueeze\] dim 3 out of range"),
    (lambda: X.squeeze(2), IndexError, r"\[squeeze\] dim 2 out of range"),
    (lambda: X.expand(3, 3), RuntimeError, r"\[expand\] sizes \(3, 3\) do not fit shape \(2, 3\)"),
    (lambda: X.expand(3), RuntimeError, r"\[expand\] sizes \(3,\) do not fit"),
    (lambda: X.expand(-1, 2, 3), RuntimeError, r"\[expand\] sizes \(-1, 2, 3\) do not fit"),
    (
        lambda: X.unflatten(1, (2, 2)),
        RuntimeError,
        r"\[unflatten\] shape \(2, 2\) is not possible for 3 elements of shape \(2, 3\)",
    ),
    (lambda: mg.reshape([1], 1), TypeError, r"\[reshape\] input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
