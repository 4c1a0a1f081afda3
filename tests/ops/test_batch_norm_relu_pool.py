"""batch_norm_relu_pool: against the three ops, for images of all widths; running statistics; ties, NaN, errors."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.ops.batch_norm_relu_pool import BatchNormReluPool
from minigrad.testing import check_kernel
from tests.ops.harness import TIERS, Case, check
from tests.ops.test_batch_norm import batch_norm

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")

# Squares in rows of eight, four and single ones; short rows taken by twos, and one left over; rows and columns left out
SHAPES = [(2, 3, 4, 6), (3, 2, 2, 2), (1, 2, 5, 3), (2, 1, 6, 8), (2, 2, 7, 9), (1, 1, 2, 17), (2, 1, 4, 26)]
LARGE = [(16, 20, 26, 26), (40, 33, 8, 8), (64, 5, 15, 16), (1, 2, 90, 255), (2, 1, 2, 8000)]


def by_definition(*inputs):
    y = np.maximum(batch_norm(*inputs), 0)
    h, w = (n // 2 for n in y.shape[2:])
    return y[..., : 2 * h, : 2 * w].reshape(*y.shape[:2], h, 2, w, 2).max((3, 5))


def three_ops(module, x, *running, **options):
    nn = module.nn.functional
    return nn.max_pool2d(module.relu(nn.batch_norm(x, *running, **options)), 2)


def row(name, shapes):
    return Case(
        name,
        lambda x, *affine: mg.batch_norm_relu_pool(x, None, None, *affine, training=True),
        shapes,
        numpy=by_definition,
        torch=lambda torch, x, w=None, b=None: three_ops(torch, x, None, None, weight=w, bias=b, training=True),
        kernels=("batch_norm_relu_pool_forward", "batch_norm_relu_pool_backward"),
        rtol=1e-5,
        atol=5e-5,  # the gradient of the weight is a small difference of large sums
        ulps=4.0,
    )


CASES = [
    row("without weight", [(s,) for s in SHAPES]),
    row("with weight and bias", [(s, (s[1],), (s[1],)) for s in [*SHAPES, *LARGE]]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@native
@pytest.mark.parametrize("shape", [(3, 2, 9, 38), (2, 3, 6, 9), (2, 1, 4, 4)])
def test_the_kernels_against_the_reference(shape):
    """Whole numbers, so that there are ties."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, shape).astype(np.float32)
    pooled, channel = (*shape[:2], shape[2] // 2, shape[3] // 2), np.zeros(shape[1], np.float32)
    y, code, dy = (
        np.zeros(pooled, np.float32),
        np.zeros(pooled, np.uint8),
        rng.integers(1, 9, pooled).astype(np.float32),
    )
    w, b = channel - 1.5, channel + 0.25
    check_kernel("batch_norm_relu_pool_forward", y, code, channel, channel, x, w, b, 0.5)
    cpu.kernels()["batch_norm_relu_pool_forward"](y, code, mean := channel.copy(), var := channel.copy(), x, w, b, 0.5)
    assert set(np.unique(code)) == {0, 1, 2, 3, 4}
    for dw, db in ((channel, channel), (None, None)):
        out = np.zeros(shape, np.float32), dw, db
        check_kernel("batch_norm_relu_pool_backward", *out, dy, code, x, w, mean, var, 0.5, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (4, 3, 2, 2)])
@pytest.mark.cpu_only("what is fused and what is not agree to the bit on the CPU")
def test_running_statistics(shape, training):
    x, found = np.random.default_rng(1).standard_normal(shape).astype(np.float32), []
    for function in (mg.batch_norm_relu_pool, lambda *args, **options: three_ops(mg, *args, **options)):
        running = mg.full(3, 0.5), mg.full(3, 2.0)
        y = function(mg.tensor(x), *running, training=training, momentum=0.3)
        found.append([y.numpy(), *(r.numpy() for r in running)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@TIERS
def test_nan_stays_in_its_channel_and_has_no_gradient(tier):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 18)).astype(np.float32)
    x[1, 1, 2, 3] = np.nan
    with mg.tier(tier):
        weight = mg.ones(3).requires_grad_()
        y = mg.batch_norm_relu_pool(mg.tensor(x), None, None, weight, training=True)
        dw = grad(y.sum(), weight)[0].numpy()
    assert np.isnan(y.detach().numpy()).all((0, 2, 3)).tolist() == [False, True, False]
    assert not np.isnan(y.detach().numpy()[:, [0, 2]]).any()
    assert not np.isnan(dw[[0, 2]]).any()


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ids=str)
def test_some_gradients_only(wanted):
    rng, i = np.random.default_rng(0), wanted.index(1)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 4, 6), 3, 3)]
    everything = [mg.tensor(a, requires_grad=True) for a in arrays]
    one = [mg.tensor(a, requires_grad=bool(w)) for a, w in zip(arrays, wanted, strict=True)]
    expected, found = (
        grad(mg.batch_norm_relu_pool(x, None, None, w, b, True).sum(), at)
        for (x, w, b), at in ((everything, everything[i]), (one, one[i]))
    )
    np.testing.assert_array_equal(found[0].numpy(), expected[0].numpy())


def test_only_images_in_training_are_fused():
    x, running = mg.randn(2, 3, 4, 4).requires_grad_(), (mg.zeros(3), mg.ones(3))
    assert isinstance(mg.batch_norm_relu_pool(x, *running, training=True).node, BatchNormReluPool)
    assert not isinstance(mg.batch_norm_relu_pool(x, *running).node, BatchNormReluPool)
    assert mg.batch_norm_relu_pool(mg.zeros(0, 3, 4, 4), *running, training=True).shape == (0, 3, 2, 2)


def zeros(*shapes):
    return [np.zeros(s, np.uint8 if i == 1 else np.float32) for i, s in enumerate(shapes)]


X, Y = (2, 3, 4, 5), (2, 3, 2, 2)
WRONG = [
    ([*zeros(Y, (2, 3, 2, 1), 3, 3, X), None, None, 1e-5], "code and y have shapes"),
    ([*zeros((2, 3, 2, 1), (2, 3, 2, 1), 3, 3, X), None, None, 1e-5], r"expected x \(n, c, h, w\)"),
    ([*zeros(Y, Y, 3, 2, X), None, None, 1e-5], r"mean and var of shape \(c,\)"),
    ([*zeros(Y, Y, 3, 3, X, 2), None, 1e-5], r"weight and bias of shape \(c,\)"),
]


@native
@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_sizes_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()["batch_norm_relu_pool_forward"](*arguments)


ERRORS = [
    (lambda: mg.batch_norm_relu_pool(mg.ones(2, 3, 4, 4), mg.ones(2), mg.ones(2), training=True), RuntimeError),
    (lambda: mg.batch_norm_relu_pool(mg.ones(2, 3, 4, 4), None, None), RuntimeError),
    (lambda: mg.batch_norm_relu_pool(mg.ones(2, 3, 4, 4), None, None, mg.ones(2), training=True), RuntimeError),
    (lambda: mg.batch_norm_relu_pool(mg.ones(2, 3, 1, 4), None, None, training=True), RuntimeError),
    (lambda: mg.batch_norm_relu_pool([1.0], None, None, training=True), TypeError),
]


@pytest.mark.parametrize(("call", "error"), ERRORS)
def test_errors(call, error):
    with pytest.raises(error, match=r"\[(batch_norm|max_pool2d)\]"):
        call()
