"""logsumexp."""

import math

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import check
from tests.ops.test_reduce import rows


def logsumexp(x, axis, keepdim):
    return np.log(np.exp(x).sum(axis, keepdims=keepdim))


CASES = rows("logsumexp", logsumexp, ("logsumexp_forward",), [0, 1, -1, (0, 2), (0, 1, 2)], rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_logsumexp_of_extremes():
    assert mg.tensor([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000 + math.log(2))
    for values, expected in ([-math.inf] * 2, -math.inf), ([math.inf, 0.0], math.inf), ([math.nan, 0.0], math.nan):
        for dtype in (mg.float32, mg.float64):
            found = mg.tensor(values, dtype=dtype).logsumexp(0).item()
            assert found == expected or (math.isnan(found) and math.isnan(expected))
    assert mg.ones(0).logsumexp(0).item() == -math.inf
    x = mg.tensor([-math.inf, 0.0], requires_grad=True)
    x.logsumexp(0).backward()
    assert x.grad.tolist() == [0.0, 1.0]
