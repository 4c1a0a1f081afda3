"""batch_norm, in training by the batch and in evaluation by running statistics."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.nn import functional as F
from minigrad.testing import check_kernel
from tests.ops.harness import TIERS, Case, check

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")

# one number per channel and image (lanes are channels) or many (lanes are pixels), pieces and their tails; no channel
BATCHES = [(3, 4, 2, 2), (2, 1), (5, 3), (7, 19), (2, 0, 3), (3, 2, 5), (2, 3, 33), (5, 1, 4, 4), (1, 2, 9)]
BATCHES += [(1000, 37), (129, 300), (64, 20, 13, 13), (1, 2, 50021), (3, 3, 4097)]
PLAIN = [(s,) for s in BATCHES]
AFFINE = [(s, (s[1],), (s[1],)) for s in BATCHES if s[1]]  # PyTorch takes no weight without channels
RNG = np.random.default_rng(5)
MEAN, VAR = RNG.uniform(-1, 1, 300).astype(np.float32), RNG.uniform(0.5, 2, 300).astype(np.float32)


def batch_norm(x, weight=None, bias=None, mean=None, var=None):
    axes, of_channel = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    mean, var = (x.mean(axes), x.var(axes)) if mean is None else (mean[: x.shape[1]], var[: x.shape[1]])
    y = (x - mean.reshape(of_channel)) / np.sqrt(var.reshape(of_channel) + 1e-5)
    return y if weight is None else y * weight.reshape(of_channel) + bias.reshape(of_channel)


def row(name, shapes, numpy, kernels, training, **options):
    def function(module, x, weight=None, bias=None):
        running, like = [None, None], {"dtype": x.dtype, "device": x.device}
        if not training:
            running = [module.tensor(a[: x.shape[1]], **like) for a in (MEAN, VAR)]
        return module.nn.functional.batch_norm(x, *running, weight, bias, training)

    return Case(
        name,
        lambda *inputs: function(mg, *inputs),
        shapes,
        numpy=numpy,
        torch=lambda torch, *inputs: function(torch, *inputs),
        kernels=kernels,
        rtol=1e-5,
        atol=5e-5,  # the gradient of the weight is a small difference of large sums
        ulps=4.0,
        **options,
    )


def in_evaluation(x, *affine):
    return batch_norm(x, *(affine or (None, None)), MEAN.astype(np.float64), VAR.astype(np.float64))


BY_BATCH = ("batch_norm_forward", "batch_norm_backward")
CASES = [
    row("training without weight", PLAIN, batch_norm, BY_BATCH, True),
    row("training with weight and bias", AFFINE, batch_norm, BY_BATCH, True),
    row("evaluation without weight", [s for s in PLAIN if s[0][1]], in_evaluation, ("batch_norm_apply",), False),
    row("evaluation with weight and bias", AFFINE, in_evaluation, ("batch_norm_apply",), False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@TIERS
@pytest.mark.parametrize("shape", [(300, 9), (20, 3, 400), (1, 2, 9001)])
def test_far_from_zero(shape, tier):
    """Squares of what is left after the mean, not the mean of squares: 10000 +- 1 keeps its digits."""
    x = (1e4 + np.random.default_rng(0).uniform(-1, 1, shape)).astype(np.float32)
    with mg.tier(tier):
        y = F.batch_norm(mg.tensor(x), None, None, training=True).numpy()
    np.testing.assert_allclose(y, batch_norm(x.astype(np.float64)), rtol=0, atol=2e-3)


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 2)])
def test_running_statistics(shape, dtype, momentum):
    """They move by momentum towards the batch's, the variance the unbiased one."""
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    mean, var = mg.tensor(MEAN[:3].astype(dtype)), mg.tensor(VAR[:3].astype(dtype))
    F.batch_norm(mg.tensor(x), mean, var, training=True, momentum=momentum)
    axes = (0, *range(2, x.ndim))
    expected = [(1 - momentum) * MEAN[:3] + momentum * x.mean(axes)]
    expected += [(1 - momentum) * VAR[:3] + momentum * x.var(axes, ddof=1)]
    np.testing.assert_allclose(mean.numpy(), expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var.numpy(), expected[1], rtol=1e-5, atol=1e-6)


@native
@pytest.mark.parametrize("channels", [0, 1, 7, 33])
def test_tracking_against_the_reference(channels):
    rng = np.random.default_rng(channels)
    arrays = [rng.uniform(-2, 2, channels).astype(np.float32) for _ in range(4)]
    check_kernel("batch_norm_track", *arrays, 0.3, 1.25)


@pytest.mark.parametrize(("shape", "dtypes"), [((0, 3), ("float32",) * 2), ((4, 3, 2), ("float32", "float64"))])
def test_statistics_of_nothing_and_of_another_dtype(shape, dtypes):
    """No batch moves nothing; statistics keep their dtype."""
    x, dtype = np.random.default_rng(0).standard_normal(shape).astype(dtypes[0]), dtypes[1]
    mean, var = mg.zeros(3, dtype=dtype), mg.ones(3, dtype=dtype)
    assert F.batch_norm(mg.tensor(x), mean, var, training=True).shape == shape
    assert mean.dtype == var.dtype == dtype
    expected = 0.1 * x.astype(np.float64).mean((0, 2)) if x.size else np.zeros(3)
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("training", [False, True])
def test_halves_with_parameters_in_float32(training):
    """As under mixed precision: statistics and parameters stay in float32, the batch does not."""
    x, parameters = mg.randn(8, 3, 5).to(mg.bfloat16), [mg.rand(3) for _ in range(4)]
    x, *affine = (a.clone().requires_grad_() for a in (x, *parameters[2:]))
    statistics = [p.clone() for p in parameters[:2]]
    y = F.batch_norm(x, *statistics, *affine, training)
    assert y.dtype == mg.bfloat16
    exact = F.batch_norm(x.detach().to(mg.float64), *[p.to(mg.float64) for p in parameters], training)
    np.testing.assert_allclose(y.detach().to(mg.float64).numpy(), exact.numpy(), rtol=2e-2, atol=2e-2)
    dtypes = [g.dtype for g in grad(y.sum(), [x, *affine])]
    assert dtypes == [mg.bfloat16, mg.float32, mg.float32]


def test_statistics_that_moved_before_backward_are_noticed():
    x, mean, var = mg.rand(4, 3, requires_grad=True), mg.zeros(3), mg.ones(3)
    y = F.batch_norm(x, mean, var)
    F.batch_norm(mg.rand(4, 3), mean, var, training=True)
    with pytest.raises(RuntimeError, match=r"\[Normalize\] .* was changed in place by \[batch_norm\]"):
        y.sum().backward()


def test_evaluation_leaves_the_statistics_alone():
    mean, var = mg.tensor(MEAN[:2]), mg.tensor(VAR[:2])
    F.batch_norm(mg.ones(3, 2), mean, var)
    assert mean.tolist() == MEAN[:2].tolist()
    assert var.tolist() == VAR[:2].tolist()


def test_nan_stays_in_its_channel():
    for shape in ((6, 20), (3, 20, 9)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        x[1, 4] = np.nan
        y = F.batch_norm(mg.tensor(x), None, None, training=True).numpy()
        assert np.isnan(y[:, 4]).all()
        assert not np.isnan(np.delete(y, 4, 1)).any()


def zeros(*shapes):
    return [np.zeros(s, np.float32) for s in shapes]


X = (2, 3, 4)
WRONG = [
    ("batch_norm_forward", [*zeros(X, 2, 3, X), None, None, 1e-5], r"mean and var of shape \(c,\)"),
    ("batch_norm_forward", [*zeros((2, 4, 3), 3, 3, X), None, None, 1e-5], r"shapes \(2, 4, 3\) and \(2, 3, 4\)"),
    ("batch_norm_apply", [*zeros(X, X, 3, 3, 3, 2), 1e-5], r"weight and bias of shape \(c,\)"),
    ("batch_norm_apply", [*zeros((2, 3), (2, 3), 3, 3, 3, 3), 1e-5], r"x of shape \(n, c, s\)"),
    ("batch_norm_backward", [*zeros(X, 2, 3, X, X, 3, 3, 3), 1e-5], r"dw and db of shape \(c,\)"),
    ("batch_norm_backward", [*zeros(X, 3, 3, X, X, 2, 3, 3), 1e-5], r"a weight of shape \(c,\)"),
    ("batch_norm_backward", [*zeros(X, 3, 3, (2, 3, 5), X, 3, 3, 3), 1e-5], r"shapes \(2, 3, 5\) and \(2, 3, 4\)"),
]


@native
@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()[name](*arguments)


def statistics(n):
    return mg.zeros(n), mg.ones(n)


ERRORS = [
    (lambda: F.batch_norm(mg.ones(1, 3), None, None, training=True), ValueError, r"\[batch_norm\]"),
    (lambda: F.batch_norm(mg.ones(2, 3), None, None), (RuntimeError, ValueError), r"\[batch_norm\]"),
    (lambda: F.batch_norm(mg.ones(2, 3), *statistics(2)), RuntimeError, r"\[batch_norm\]"),
    (lambda: F.batch_norm(mg.ones(2, 3), *statistics(3), mg.ones(2)), RuntimeError, r"\[batch_norm\]"),
    (lambda: F.batch_norm(mg.ones(2, 3), *statistics(3), mg.ones(3), mg.ones(4)), RuntimeError, r"\[batch_norm\]"),
    (lambda: F.batch_norm([1.0], *statistics(1)), TypeError, r"\[batch_norm\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_track_moves_the_running_statistics():
    from minigrad.ops.batch_norm import batch_norm_track

    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    batch_norm_track(mean, var, np.array([1, 2], np.float32), np.array([3, 5], np.float32), 0.25, 2.0)
    np.testing.assert_allclose(mean, [0.25, 0.5], rtol=1e-6)
    np.testing.assert_allclose(var, [0.75 + 0.25 * 6, 0.75 + 0.25 * 10], rtol=1e-6)
