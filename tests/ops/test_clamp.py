"""clamp."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check
from tests.ops.inputs import ONE

BOUNDS = [((3, 4), (4,), (3, 1)), ((33,), (33,), (33,))]
CASES = [
    Case(
        "clamp",
        lambda x: x.clamp(-1, 0.5),
        drawn=ONE,
        numpy=lambda x: np.clip(x, -1, 0.5),
        torch=lambda t, x: x.clamp(-1, 0.5),
        kernels=("clamp_forward", "clamp_backward"),
    ),
    Case(
        "clamp below", lambda x: mg.clamp(x, min=0), numpy=lambda x: np.maximum(x, 0), torch=lambda t, x: x.clamp(min=0)
    ),
    Case(
        "clamp above", lambda x: mg.clamp(x, max=0), numpy=lambda x: np.minimum(x, 0), torch=lambda t, x: x.clamp(max=0)
    ),
    Case(
        "clamp where min > max",
        lambda x: x.clamp(1, -1),
        numpy=lambda x: np.full_like(x, -1),
        torch=lambda t, x: x.clamp(1, -1),
        twice=False,
    ),
    Case(
        "clamp by tensors",
        lambda x, lo, hi: x.clamp(lo, hi + 2),
        BOUNDS,
        numpy=lambda x, lo, hi: np.clip(x, lo, hi + 2),
        torch=lambda t, x, lo, hi: x.clamp(lo, hi + 2),
        values=(0, 2),
        ulps=2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (mg.tensor(0.0), mg.tensor(1.0))])
def test_the_bounds_themselves_have_gradient_1(bounds):
    x = mg.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    x.clamp(*bounds).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_integers():
    x = mg.tensor([-2, 0, 5])
    assert (x.clamp(-1, 3).tolist(), x.clamp(-1, 3).dtype) == ([-1, 0, 3], mg.int64)
    assert (x.clamp(max=0.5).tolist(), x.clamp(max=0.5).dtype) == ([-2, 0, 0.5], mg.float32)
    assert x.clamp(mg.tensor([0, 0, 9])).tolist() == [0, 0, 9]


def test_nan_stays():
    assert mg.tensor([np.nan]).clamp(0, 1).isnan().all()
    assert mg.tensor([np.nan], dtype=mg.float64).clamp(0, 1).isnan().all()


def test_errors():
    with pytest.raises(ValueError, match=r"\[clamp\] at least one of min and max must be given"):
        mg.ones(1).clamp()
    with pytest.raises(TypeError, match=r"\[clamp\] input must be a Tensor, found int"):
        mg.clamp(1, 0)
