"""tril, triu and diag."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

MATRICES = [((3, 4),), ((2, 4, 3),), ((0, 2),), ((300, 130),)]

CASES = [
    *[
        Case(
            f"{name}({k})",
            lambda x, name=name, k=k: getattr(mg, name)(x, k),
            MATRICES,
            numpy=lambda x, name=name, k=k: getattr(np, name)(x, k),
            torch=lambda torch, x, name=name, k=k: getattr(torch, name)(x, k),
            twice=False,
        )
        for name in ("tril", "triu")
        for k in (0, 1, -2, 9)
    ],
    *[
        Case(
            f"diag({k})",
            lambda x, k=k: mg.diag(x, k),
            [((3, 4),), ((4,),), ((0,),), ((5, 2),), ((300, 130),)],
            numpy=lambda x, k=k: np.diag(x, k),
            torch=lambda torch, x, k=k: torch.diag(x, k),
            twice=False,
        )
        for k in (0, 1, -2)
    ],
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_in_place():
    x = mg.ones(2, 2)
    assert x.tril_().tolist() == [[1, 0], [1, 1]] and x.triu_(1).tolist() == [[0, 0], [0, 0]]


def test_errors():
    with pytest.raises(RuntimeError, match=r"\[tril\] expected at least 2 dimensions, found shape \(3,\)"):
        mg.tril(mg.zeros(3))
    with pytest.raises(RuntimeError, match=r"\[diag\] expected a vector or a matrix, found shape \(1, 1, 1\)"):
        mg.diag(mg.zeros(1, 1, 1))
