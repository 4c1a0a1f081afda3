"""permute, transpose, t, T, mT and movedim."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import check
from tests.ops.test_shape import row

B = [((2, 3, 4),), ((2, 0, 4),), ((1, 3, 1),)]
CASES = [
    row("permute", lambda x: x.permute(2, 0, 1), B, lambda x: x.transpose(2, 0, 1)),
    row("permute((-1, 0, 1))", lambda x: x.permute((-1, 0, 1)), B),
    row("transpose", lambda x: x.transpose(0, -1), [*B, ((3,),)], lambda x: x.swapaxes(0, -1)),
    row("t", lambda x: x.t(), [((2, 3),), ((3,),), ((),)], np.transpose),
    row("T", lambda x: x.T, [((2, 3),)], np.transpose),
    row("mT", lambda x: x.mT, [((2, 3, 4),)], lambda x: x.swapaxes(-1, -2)),
    row("movedim", lambda x: x.movedim(0, -1), B, lambda x: np.moveaxis(x, 0, -1)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


X = mg.zeros(2, 3)
WRONG = [
    (lambda: X.permute(0, 0), RuntimeError, r"\[permute\] dims \(0, 0\) must name each of the 2 dimensions once"),
    (lambda: X.permute(0), RuntimeError, r"\[permute\] dims \(0,\) must name each"),
    (lambda: X.transpose(0, 2), IndexError, r"\[transpose\] dim 2 out of range for 2 dimensions, expected -2 to 1"),
    (lambda: mg.zeros(1, 1, 1).t(), RuntimeError, r"\[t\] expected at most 2 dimensions, found shape \(1, 1, 1\)"),
    (lambda: mg.permute([1], 0), TypeError, r"\[permute\] input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
