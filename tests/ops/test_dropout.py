"""dropout: the mask is a function of the random stream, in both directions."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check
from tests.ops.inputs import LARGE, ONE

SHAPES = [((5, 4, 3),), ((),), ((1,),), ((0,),), ((7,),), ((3, 33),), ((LARGE,),), ((515, 390),)]


def kept(shape, p):
    """1 where an element stays: the uniform numbers that the stream holds for it are not below p."""
    return mg.manual_seed(7) and mg.rand(shape).numpy().astype(np.float64) >= p


def row(p):
    def dropped(x):
        mg.manual_seed(7)
        return F.dropout(x, p)

    return Case(
        f"dropout {p}",
        dropped,
        SHAPES,
        drawn=ONE,
        numpy=lambda x: np.where(kept(x.shape, p), x / (1 - p) if p < 1 else 0, 0),
        kernels=("dropout_forward", "dropout_backward"),
        ulps=2,
    )


@pytest.mark.parametrize("case", [row(p) for p in (0.1, 0.5, 0.75, 1.0)], ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_and_the_mean(p):
    y = F.dropout(mg.ones(200_000), p).numpy()
    assert set(np.unique(y)) == {0, np.float32(1) / np.float32(1 - p)}
    deviation = (p * (1 - p) / y.size) ** 0.5
    assert abs((y == 0).mean() - p) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - p)


def test_nothing_survives_p_1_not_even_nan():
    x = mg.tensor([1.0, np.inf, np.nan], requires_grad=True)
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0] and x.grad.tolist() == [0, 0, 0]


def test_every_call_draws_anew_and_a_seed_repeats_it():
    x, draws = mg.ones(64), []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        draws.append([F.dropout(x).tolist(), F.dropout(x).tolist()])
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][0] != draws[0][1]


def test_the_mask_is_not_stored():
    y = F.dropout(mg.ones(1000).requires_grad_(), 0.3)
    assert y.node.saved == ()


def test_between_forward_and_backward_others_may_draw():
    x = mg.ones(100).requires_grad_()
    y = F.dropout(x, 0.3)
    mg.rand(10)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


@pytest.mark.parametrize("options", [{"training": False}, {"p": 0.0}])
def test_where_nothing_is_dropped_the_input_comes_back(options):
    x, before = mg.ones(3), mg.get_rng_state().tolist()
    assert F.dropout(x, **options) is x
    assert mg.get_rng_state().tolist() == before


def test_inplace():
    mg.manual_seed(3)
    expected = F.dropout(mg.ones(20), 0.5).tolist()
    mg.manual_seed(3)
    leaf = mg.ones(20).requires_grad_()
    x = leaf * 1
    y = F.dropout(x, 0.5, inplace=True)
    assert y is x and x.tolist() == expected
    y.sum().backward()
    assert leaf.grad.tolist() == expected


@TIERS
def test_all_backends_draw_the_same_mask(tier):
    mg.manual_seed(5)
    with mg.tier(tier):
        mask = F.dropout(mg.ones(4099), 0.1).numpy() > 0
    np.testing.assert_array_equal(mask, mg.manual_seed(5).uniform((4099,), np.float64) >= 0.1)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_probabilities_lie_between_0_and_1(p):
    with pytest.raises(ValueError, match=r"\[dropout\] p must lie in \[0, 1\], found"):
        F.dropout(mg.ones(3), p)


def test_integers_cannot_be_scaled():
    with pytest.raises(RuntimeError, match=r"\[dropout\] input must be floating, found int64"):
        F.dropout(mg.tensor([1, 2]))
