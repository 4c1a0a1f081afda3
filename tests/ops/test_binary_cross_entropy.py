"""binary_cross_entropy of probabilities and of logits."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check
from tests.ops.inputs import LARGE, beside
from tests.ops.test_mse_loss import PAIRS, REDUCE

SHAPES = [((5, 4, 3),) * 2, ((),) * 2, ((1,),) * 2, ((3, 33),) * 2, ((LARGE,),) * 2]
INSIDE = (0.05, 0.95)


def of_probability(x, t):
    return -(t * np.log(x) + (1 - t) * np.log(1 - x))


def of_logit(x, t):
    return t * np.log1p(np.exp(-x)) + (1 - t) * np.log1p(np.exp(x))


FORMULAS = {"binary_cross_entropy": of_probability, "binary_cross_entropy_with_logits": of_logit}


def row(name, reduction):
    return Case(
        f"{name}, {reduction}",
        lambda x, t: getattr(F, name)(x, t, reduction=reduction),
        SHAPES,
        drawn=PAIRS,
        numpy=lambda x, t: REDUCE[reduction](FORMULAS[name](x, t)),
        torch=lambda torch, x, t: getattr(torch.nn.functional, name)(x, t, reduction=reduction),
        values=INSIDE,
        kernels=(f"{name}_forward",),
        rtol=1e-5,
        ulps=8,
        extremes=name.endswith("logits"),
    )


def with_constant_target(name, reduction):
    target = np.linspace(0, 1, 60).reshape(5, 4, 3)
    return Case(
        f"{name} of a constant target, {reduction}",
        lambda x: getattr(F, name)(x, beside(x, target), reduction=reduction),
        [((5, 4, 3),)],
        numpy=lambda x: REDUCE[reduction](FORMULAS[name](x, target)),
        values=INSIDE,
        kernels=(f"{name}_forward", f"{name}_backward"),
        rtol=1e-5,
        ulps=8,
        extremes=False,
    )


CASES = [make(name, r) for name in FORMULAS for r in REDUCE for make in (row, with_constant_target)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


WEIGHT, POSITIVE = np.array([0.5, 2.0, 4.0]), np.array([3.0, 1.0, 0.25])


def weighted(name, reduction, **weights):
    p = weights.get("pos_weight", 1.0)
    formula = of_probability if "pos_weight" not in weights and not name.endswith("logits") else of_positive(p)
    own = weights.get("weight", 1.0)
    return Case(
        f"{name}, {reduction}, {' and '.join(weights)}",
        lambda x, t: getattr(F, name)(x, t, reduction=reduction, **{n: beside(x, w) for n, w in weights.items()}),
        [((2, 3), (2, 3))],
        numpy=lambda x, t: REDUCE[reduction](formula(x, t) * own),
        torch=lambda torch, x, t: getattr(torch.nn.functional, name)(
            x, t, reduction=reduction, **{n: torch.tensor(w, dtype=x.dtype) for n, w in weights.items()}
        ),
        values=INSIDE,
        rtol=1e-5,
        ulps=12,
        extremes=False,
    )


def of_positive(p):
    return lambda x, t: p * t * np.log1p(np.exp(-x)) + (1 - t) * np.log1p(np.exp(x))


WEIGHTED = [weighted(name, r, weight=WEIGHT) for name in FORMULAS for r in REDUCE]
WEIGHTED += [
    weighted("binary_cross_entropy_with_logits", r, **weights)
    for r in REDUCE
    for weights in ({"pos_weight": POSITIVE}, {"weight": WEIGHT, "pos_weight": POSITIVE})
]


@pytest.mark.parametrize("case", WEIGHTED, ids=str)
def test_weights(case):
    check(case)


# Where the definition has its ends -----------------------------------------------------------------------------------

DTYPES = pytest.mark.parametrize("dtype", [mg.float32, mg.float64])


@TIERS
@DTYPES
def test_sure_mistakes_are_cut_off(tier, dtype):
    x = mg.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    with mg.tier(tier):
        loss = F.binary_cross_entropy(x, mg.tensor([0.0, 0.0, 1.0, 1.0], dtype=dtype), reduction="none")
        loss.sum().backward()
    assert loss.tolist() == [0, 100, 100, 0]
    np.testing.assert_allclose(x.grad.numpy(), [0, 1e12, -1e12, 0], rtol=1e-6)


@TIERS
@DTYPES
def test_logits_of_any_size(tier, dtype):
    x = mg.tensor([1e4, -1e4, 1e4, -1e4, 30.0, -30.0], dtype=dtype, requires_grad=True)
    with mg.tier(tier):
        loss = F.binary_cross_entropy_with_logits(
            x, mg.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0], dtype=dtype), reduction="none"
        )
        loss.sum().backward()
    tiny = math.exp(-30)
    np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 1e4, 1e4, tiny, tiny], rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 1, -1, -tiny, tiny], rtol=1e-6, atol=1e-7)


def test_logits_are_what_sigmoids_are_made_of():
    x, t = mg.randn(50).double(), mg.rand(50).double()
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(x, t).item(), F.binary_cross_entropy(mg.sigmoid(x), t).item(), rtol=1e-12
    )


HALF = mg.full((3,), 0.5)
ERRORS = [
    ("binary_cross_entropy", mg.full((3, 1), 0.5), mg.ones(3), {}, ValueError, r"target has shape \(3,\), expected"),
    ("binary_cross_entropy", HALF + 1, mg.ones(3), {}, RuntimeError, r"input must lie in \[0, 1\], found 1.5 to 1.5"),
    ("binary_cross_entropy", HALF, -mg.ones(3), {}, RuntimeError, r"target must lie in \[0, 1\], found -1.0 to -1.0"),
    ("binary_cross_entropy", HALF * math.nan, mg.ones(3), {}, RuntimeError, r"input must lie in \[0, 1\], found nan"),
    ("binary_cross_entropy", HALF, mg.ones(3).long(), {}, RuntimeError, r"target must be floating, found int64"),
    ("binary_cross_entropy", HALF, mg.ones(3).double(), {}, RuntimeError, r"target has dtype float64, expected"),
    ("binary_cross_entropy", HALF, mg.ones(3), {"weight": mg.ones(2)}, RuntimeError, r"\[expand\]"),
    ("binary_cross_entropy", HALF, mg.ones(3), {"reduction": ""}, ValueError, r"'' is not a valid reduction"),
    ("binary_cross_entropy_with_logits", HALF, mg.ones(4), {}, ValueError, r"\[.*logits\] target has shape \(4,\)"),
    ("binary_cross_entropy_with_logits", HALF, mg.ones(3).long(), {}, RuntimeError, r"target must be floating"),
    ("binary_cross_entropy_with_logits", [0.5], mg.ones(1), {}, TypeError, r"input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("name", "x", "target", "options", "error", "message"), ERRORS)
def test_errors(name, x, target, options, error, message):
    with pytest.raises(error, match=message):
        getattr(F, name)(x, target, **options)
