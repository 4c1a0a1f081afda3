"""mse_loss."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check
from tests.ops.inputs import LARGE, ONE, beside

SHAPES = [((5, 4, 3),) * 2, ((),) * 2, ((1,),) * 2, ((7,),) * 2, ((3, 33),) * 2, ((LARGE,),) * 2]
PAIRS = ONE.filter(lambda shapes: 0 not in shapes[0]).map(lambda shapes: shapes * 2)
REDUCE = {"mean": np.mean, "sum": np.sum, "none": np.asarray}


def row(reduction, weight=None, **options):
    def torch(torch, x, t):
        return torch.nn.functional.mse_loss(x, t, reduction=reduction)

    return Case(
        f"mse_loss, {reduction}",
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        SHAPES,
        drawn=PAIRS,
        numpy=lambda x, t: REDUCE[reduction]((x - t) ** 2),
        torch=torch,
        kernels=("mse_loss_forward",),
        ulps=2,
        **options,
    )


def with_constant_target(reduction):
    """The everyday case: only the prediction wants a gradient, and one kernel gives it."""
    target = np.linspace(-1, 1, 60).reshape(5, 4, 3)
    return Case(
        f"mse_loss of a constant target, {reduction}",
        lambda x: F.mse_loss(x, beside(x, target), reduction=reduction),
        [((5, 4, 3),)],
        numpy=lambda x: REDUCE[reduction]((x - target) ** 2),
        kernels=("mse_loss_forward", "mse_loss_backward"),
        ulps=2,
    )


CASES = [make(r) for r in REDUCE for make in (row, with_constant_target)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("reduction", REDUCE)
def test_weights_divide_the_mean(reduction):
    weight = np.array([1.0, 2.0, 5.0])
    case = Case(
        "weight",
        lambda x, t: F.mse_loss(x, t, reduction=reduction, weight=beside(x, weight)),
        [((3,), (3,))],
        numpy=lambda x, t: (
            ((x - t) ** 2 * weight).sum() / 8 if reduction == "mean" else REDUCE[reduction]((x - t) ** 2 * weight)
        ),
        ulps=4,
    )
    check(case)


@pytest.mark.parametrize(("left", "right"), [((3, 1), (3,)), ((3,), (2, 3)), ((), (4,))])
def test_broadcasting_works_with_a_warning(left, right):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal(left), rng.standard_normal(right)
    leaf = mg.tensor(x, requires_grad=True)
    with pytest.warns(UserWarning, match=r"\[mse_loss\] target has shape .* they are broadcast") as caught:
        loss = F.mse_loss(leaf, mg.tensor(t))
    assert caught[0].filename == __file__
    np.testing.assert_allclose(loss.item(), ((x - t) ** 2).mean())
    loss.backward()
    assert leaf.grad.shape == left


@TIERS
@pytest.mark.parametrize(("reduction", "value"), [("mean", np.nan), ("sum", 0.0), ("none", np.zeros((0, 2)))])
def test_nothing_at_all(reduction, value, tier):
    x = mg.zeros(0, 2).requires_grad_()
    with mg.tier(tier):
        loss = F.mse_loss(x, mg.zeros(0, 2), reduction=reduction)
        loss.sum().backward()
    np.testing.assert_array_equal(loss.detach().numpy(), value)
    assert x.grad.shape == (0, 2)


def test_dtypes_are_mixed():
    assert F.mse_loss(mg.ones(2), mg.zeros(2).double()).dtype is mg.float64


@TIERS
def test_sums_are_accurate(tier):
    with mg.tier(tier):
        assert F.mse_loss(mg.full((300_000,), 1.1), mg.zeros(300_000)).item() == pytest.approx(1.21, rel=1e-6)


ERRORS = [
    (mg.ones(3, 2), mg.ones(3), {}, RuntimeError, r"\[mse_loss\] shapes \(3, 2\) and \(3,\) do not broadcast"),
    (mg.ones(2).long(), mg.ones(2), {}, RuntimeError, r"\[mse_loss\] input must be floating, found int64"),
    (mg.ones(2), [1.0, 2.0], {}, TypeError, r"\[mse_loss\] target must be a Tensor, found list"),
    (mg.ones(2), mg.ones(2), {"reduction": "all"}, ValueError, r"\[mse_loss\] 'all' is not a valid reduction"),
    (mg.ones(2), mg.ones(2), {"weight": mg.ones(1)}, ValueError, r"\[mse_loss\] weight has shape \(1,\)"),
]


@pytest.mark.parametrize(("x", "target", "options", "error", "message"), ERRORS)
def test_errors(x, target, options, error, message):
    with pytest.raises(error, match=message):
        F.mse_loss(x, target, **options)
