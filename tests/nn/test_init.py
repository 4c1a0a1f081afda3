"""First values: bounds, moments and the whole distribution of each law, and the gains and fans behind them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

LARGE = (200, 300)


def phi(x):
    """Distribution function of N(0, 1)."""
    return np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in np.asarray(x)])


def uniform(low, high):
    return lambda x: np.clip((x - low) / (high - low), 0, 1)


def normal(mean, std):
    return lambda x: phi((x - mean) / std)


def truncated(mean, std, a, b):
    low, high = phi([(a - mean) / std, (b - mean) / std])
    return lambda x: np.clip((normal(mean, std)(x) - low) / (high - low), 0, 1)


init = nn.init
XAVIER, KAIMING = math.sqrt(2 / 500), math.sqrt(2 / 300)

# how to fill a (200, 300) tensor, and the distribution function that its elements must have
LAWS = [
    (lambda w: init.uniform_(w), uniform(0, 1)),
    (lambda w: init.uniform_(w, -3, 2), uniform(-3, 2)),
    (lambda w: init.normal_(w), normal(0, 1)),
    (lambda w: init.normal_(w, 5, 0.1), normal(5, 0.1)),
    (lambda w: init.xavier_uniform_(w), uniform(-XAVIER * math.sqrt(3), XAVIER * math.sqrt(3))),
    (lambda w: init.xavier_normal_(w, gain=3), normal(0, 3 * XAVIER)),
    (lambda w: init.kaiming_uniform_(w), uniform(-KAIMING * math.sqrt(3), KAIMING * math.sqrt(3))),
    (lambda w: init.kaiming_normal_(w), normal(0, KAIMING)),
    (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"), normal(0, 5 / 3 / math.sqrt(200))),
    (lambda w: init.kaiming_normal_(w, a=1.0), normal(0, 1 / math.sqrt(300))),
    (lambda w: init.trunc_normal_(w), truncated(0, 1, -2, 2)),
    (lambda w: init.trunc_normal_(w, 1.0, 2.0, 0.0, 1.5), truncated(1, 2, 0, 1.5)),
    (lambda w: init.trunc_normal_(w, 0.0, 1.0, 3.0, 3.5), truncated(0, 1, 3, 3.5)),
    (lambda w: init.trunc_normal_(w, 5.0, 1.0, -2.0, 2.0), truncated(5, 1, -2, 2)),
]


def distance(values, distribution):
    """Kolmogorov's: the largest gap between the empirical and the true distribution function."""
    values = np.sort(values.ravel())
    expected = distribution(values)
    steps = np.arange(len(values) + 1) / len(values)
    return max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())


@pytest.mark.parametrize(("fill", "distribution"), LAWS)
def test_law(fill, distribution):
    w = mg.zeros(*LARGE, requires_grad=True)
    assert fill(w) is w and w.is_leaf and w.grad is None
    assert distance(w.detach().numpy().astype(float), distribution) < 1.95 / math.sqrt(w.numel())  # 0.1 % by chance


def test_the_check_of_a_law_finds_a_wrong_one():
    w = init.normal_(mg.zeros(*LARGE), std=1.05).numpy().astype(float)
    assert distance(w, normal(0, 1)) > 1.95 / math.sqrt(w.size)


@given(
    st.floats(-3, 3), st.floats(0.1, 3), st.floats(-10, 10), st.floats(0, 5), st.sampled_from([mg.float32, mg.float64])
)
def test_truncated_values_stay_inside(mean, std, a, width, dtype):
    w = init.trunc_normal_(mg.zeros(50, dtype=dtype), mean, std, a, a + width).numpy()
    assert (w >= np.array(a, dtype)).all() and (w <= np.array(a + width, dtype)).all()


def test_fills():
    assert init.constant_(mg.zeros(2), 3.5).tolist() == [3.5, 3.5]
    assert init.ones_(mg.zeros(2)).tolist() == [1.0, 1.0] and init.zeros_(mg.ones(2)).tolist() == [0.0, 0.0]
    assert init.eye_(mg.ones(3, 2)).tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert init.trunc_normal_(mg.zeros(2), std=0.0, mean=9.0).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("dtype", [mg.float64, mg.float16, mg.bfloat16])
def test_other_dtypes(dtype):
    for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.kaiming_normal_):
        w = fill(mg.zeros(20, 30, dtype=dtype))
        assert w.dtype == dtype and len(set(w.to(mg.float64).flatten().tolist())) > 50


def test_a_generator_repeats_itself():
    for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.kaiming_normal_):
        first, second = (fill(mg.zeros(4, 5), generator=mg.Generator().manual_seed(7)) for _ in range(2))
        assert first.tolist() == second.tolist()
        assert first.tolist() != fill(mg.zeros(4, 5), generator=mg.Generator().manual_seed(8)).tolist()


def test_a_strided_tensor_is_filled():
    base = mg.zeros(3, 2)
    init.constant_(base.t(), 2.0)
    init.eye_(base.t())
    assert base.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def test_a_saved_weight_that_is_drawn_anew_is_noticed():
    w = mg.ones(2, 2, requires_grad=True)
    loss = (w * w).sum()
    init.xavier_uniform_(w)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@needs_torch
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (6, 2, 3, 5)])
def test_fans_are_pytorchs(shape):
    fans = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(*shape))
    assert init._fans("test", mg.zeros(*shape)) == fans


GAINS = [("linear",), ("conv2d",), ("sigmoid",), ("tanh",), ("relu",), ("selu",), ("leaky_relu",), ("leaky_relu", 0.2)]


@needs_torch
@pytest.mark.parametrize("arguments", GAINS)
def test_gains_are_pytorchs(arguments):
    assert init.calculate_gain(*arguments) == torch.nn.init.calculate_gain(*arguments)


REFUSED = [
    (lambda: init.calculate_gain("swish"), "unknown nonlinearity 'swish'"),
    (lambda: init.calculate_gain("leaky_relu", True), "the slope is True"),
    (lambda: init.xavier_uniform_(mg.zeros(3)), r"\[xavier_uniform_\] found a tensor of shape \(3,\)"),
    (lambda: init.kaiming_normal_(mg.zeros(3)), r"\[kaiming_normal_\] found a tensor of shape \(3,\)"),
    (lambda: init.kaiming_normal_(mg.zeros(3, 3), mode="fan"), "mode is 'fan'"),
    (lambda: init.eye_(mg.zeros(3)), "two dimensions"),
    (lambda: init.trunc_normal_(mg.zeros(3), a=1.0, b=0.0), "a <= b"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
