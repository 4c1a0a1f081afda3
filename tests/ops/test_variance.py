"""var and std."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check
from tests.ops.test_reduce import DIMS, rows

CASES = [
    *rows("var", lambda x, axis, keepdim: x.var(axis, ddof=1, keepdims=keepdim), ("var_forward",), DIMS[2:], rtol=1e-5),
    *rows(
        "std",
        lambda x, axis, keepdim: x.std(axis, ddof=1, keepdims=keepdim),
        ("var_forward",),
        DIMS[2:],
        rtol=1e-5,
        ulps=2,
    ),
    Case(
        "var without correction",
        lambda x: x.var(0, correction=0),
        [((4, 3),), ((1, 2),)],
        numpy=lambda x: x.var(0),
        torch=lambda torch, x: x.var(0, correction=0),
        rtol=1e-5,
    ),
    Case(
        "std over all",
        lambda x: x.std(unbiased=False),
        [((4, 3),)],
        torch=lambda torch, x: x.std(unbiased=False),
        ulps=2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_std_has_gradient_zero_where_nothing_varies():
    x = mg.ones(3, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0] * 3


def test_forms_of_the_arguments():
    x = mg.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]])
    a = x.numpy()
    for found, expected in (
        (x.var(), a.var(ddof=1)),
        (x.var(False), a.var()),
        (x.var(1, False), a.var(1)),
        (x.var(1, True, True), a.var(1, ddof=1, keepdims=True)),
        (x.var((0, 1), correction=2), a.var(ddof=2)),
        (mg.std(x, dim=0, correction=0, keepdim=True), a.std(0, keepdims=True)),
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_large_mean_does_not_drown_the_variance():
    x = mg.full((1_000_003,), 0.1) + 1000
    assert x.var().item() == pytest.approx(0, abs=1e-6)
    noise = mg.randn(100_000)
    assert (noise + 1000).var().item() == pytest.approx(noise.var().item(), rel=1e-3)


def test_too_few_elements_have_no_variance():
    assert mg.ones(1).var().isnan().item()
    assert mg.ones(0).std().isnan().item()
    assert mg.ones(1).var(correction=0).item() == 0


def test_errors():
    with pytest.raises(RuntimeError, match=r"\[var\] only floating dtypes have a variance, found int64"):
        mg.tensor([1, 2]).var()
    with pytest.raises(IndexError, match=r"\[std\] dim 1 out of range for 1 dimensions"):
        mg.ones(2).std(1)
