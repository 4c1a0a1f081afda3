"""where and masked_fill."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check


def mask(*shape):
    """Input: a random bool array."""
    return lambda rng: rng.random(shape) < 0.5


BOTH = [
    (mask(3, 4), (3, 4), (3, 4)), (mask(4), (3, 1), (1, 4)), (mask(), (3,), ()), (mask(3, 1), (), (1,)),
    (mask(0), (0,), (1,)), (mask(33, 17), (33, 17), (17,)), (mask(515, 390), (515, 390), (515, 1)),
]  # fmt: skip
ONE = [(mask(3, 4), (3, 4)), (mask(4), (3, 1)), (mask(2, 1), ()), (mask(0), (0,)), (mask(515, 390), (515, 390))]
CASES = [
    Case("where", mg.where, BOTH, numpy=np.where, torch=lambda t, *args: t.where(*args), kernels=("where_forward",)),
    Case("where with a number", lambda m, x: mg.where(m, x, -1), ONE, numpy=lambda m, x: np.where(m, x, -1),
         torch=lambda t, m, x: t.where(m, x, -1)),
    Case("number with where", lambda m, x: mg.where(m, 0.5, x), ONE, numpy=lambda m, x: np.where(m, 0.5, x),
         torch=lambda t, m, x: t.where(m, 0.5, x)),
    Case("method", lambda m, x, y: x.where(m, y), BOTH, numpy=np.where, torch=lambda t, m, x, y: x.where(m, y)),
    Case("masked_fill", lambda m, x: x.masked_fill(m, 7.5), ONE, numpy=lambda m, x: np.where(m, 7.5, x),
         torch=lambda t, m, x: x.masked_fill(m, 7.5), kernels=("where_forward",)),
    Case("masked_fill by a tensor", lambda m, x, v: x.masked_fill(m, v), [(mask(3, 4), (3, 4), ())],
         torch=lambda t, m, x, v: x.masked_fill(m, v)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


M = mg.tensor([True, False])
DTYPES = [
    ((1, 2), mg.int64), ((1, 2.5), mg.float32), ((True, False), mg.bool), ((1, False), mg.int64),
    ((mg.tensor([1, 2]), 0.5), mg.float32), ((mg.tensor([1, 2], dtype=mg.int8), 3), mg.int8),
    ((mg.tensor([1, 2]), mg.tensor([1.0, 2.0], dtype=mg.float16)), mg.float16),
    ((mg.tensor([1.0, 2.0]), mg.tensor(1.0, dtype=mg.float64)), mg.float32),
]  # fmt: skip


@pytest.mark.parametrize(("operands", "dtype"), DTYPES)
def test_dtypes(operands, dtype):
    assert mg.where(M, *operands).dtype is dtype
    assert mg.where(M, *operands[::-1]).dtype is dtype


def test_masked_fill_keeps_the_dtype():
    assert mg.tensor([1, 2]).masked_fill(M, 7.0).tolist() == [7, 2]
    assert mg.tensor([1.0, 2.0], dtype=mg.float16).masked_fill(M, -1e9).tolist() == [-np.inf, 2.0]


def test_the_gradient_passes_the_branch_taken_only():
    """Even where the other branch is nan or inf."""
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    mg.where(x > 0, x.sqrt(), x).sum().backward()
    assert np.isnan(x.grad.numpy()[0])  # 0 * inf in sqrt itself, as in PyTorch: clean the input, not the output
    x.grad = None
    mg.where(x > 0, mg.where(x > 0, x, 1.0).sqrt(), x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.25]


WRONG = [
    (lambda: mg.where(mg.ones(2), 1, 2), RuntimeError, r"\[where\] the mask must be bool, found float32"),
    (lambda: mg.where([True], 1, 2), TypeError, r"\[where\] the mask must be a Tensor, found list"),
    (lambda: mg.where(M, mg.ones(3), 0), RuntimeError, r"\[where\] shapes \(2,\) and \(3,\) do not broadcast"),
    (lambda: mg.ones(2).masked_fill(M, mg.ones(2)), RuntimeError, r"\[masked_fill\] value must be a number or 0-dim"),
    (
        lambda: mg.ones(2).masked_fill(mg.ones(2), 0),
        RuntimeError,
        r"\[masked_fill\] the mask must be bool, found float32",
    ),
    (lambda: mg.where(M, "a", 0), TypeError, r"\[where\]|\[tensor\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_mask_has_no_gradient():
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(
        RuntimeError, match=r"\[requires_grad_\] only floating dtypes can require a gradient, found bool"
    ):
        (x > 0).requires_grad_()
