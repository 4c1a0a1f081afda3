"""conv2d_relu_pool: windows of all kinds against the three ops, with few channels and with many; ties, NaN, errors."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.nn import functional as F
from minigrad.ops.conv2d_relu_pool import Conv2dReluPool
from minigrad.ops.windows import NONE
from minigrad.testing import check_kernel
from tests.ops.harness import TIERS, Case, check
from tests.ops.test_conv2d import conv2d, sizes

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")
KERNELS = ("conv2d_relu_pool_forward", "conv2d_relu_pool_backward", "conv2d_relu_pool_spread")


def by_definition(*inputs, **options):
    y = np.maximum(conv2d(*inputs, **options), 0)
    h, w = (n // 2 for n in y.shape[-2:])
    return y[..., : 2 * h, : 2 * w].reshape(*y.shape[:-2], h, 2, w, 2).max((-3, -1))


def three_ops(torch, x, w, *bias, **options):
    nn = torch.nn.functional
    return nn.max_pool2d(torch.relu(nn.conv2d(x, w, *bias, **options)), 2)


def row(shapes, kernels=KERNELS, **options):
    return Case(
        " ".join(f"{key} {value}" for key, value in options.items()) or "plain",
        lambda *inputs: mg.conv2d_relu_pool(*inputs, **options),
        shapes,
        numpy=lambda *inputs: by_definition(*inputs, **options),
        torch=lambda torch, *inputs: three_ops(torch, *inputs, **options),
        kernels=kernels,
        rtol=1e-5,
        atol=5e-6,
        ulps=4.0,
        extremes=False,  # see test_ties_infinities_and_nan: what is a tie of infinities here is none there
    )


# Fewer squares than lanes, as many, a tail; rows and columns left out; tiles of output channels and a tail; no batch
SHAPES = [
    sizes((2, 1, 6, 7), (4, 1, 3, 3)),
    sizes((1, 2, 4, 9), (3, 2, 1, 2), bias=False),
    sizes((3, 5, 6), (7, 3, 2, 2)),
    sizes((2, 1, 3, 34), (2, 1, 2, 2)),
    sizes((0, 1, 6, 7), (4, 1, 3, 3)),
    sizes((9, 1, 28, 28), (32, 1, 3, 3)),
    sizes((18, 3, 17, 20), (10, 3, 3, 3)),
    sizes((2, 2, 90, 140), (5, 2, 4, 4)),  # bands of rows
]
MANY = sizes((2, 5, 5, 6), (4, 5, 3, 3))
CASES = [
    row(SHAPES),
    row([SHAPES[0], SHAPES[6]], padding=1),
    row([SHAPES[0], SHAPES[5]], stride=2, padding=(1, 2)),
    row([sizes((2, 1, 12, 14), (3, 1, 3, 2))], stride=(1, 3), dilation=(2, 1), padding=(0, 1)),
    row([SHAPES[2]], padding="same"),
    row([MANY], kernels=("conv2d_forward", "max_pool2d_forward")),
]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch's, for an even kernel
@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@native
def test_the_kernels_against_the_reference():
    """Whole numbers, so that sums are exact: ties are decided alike, and codes are equal."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.integers(-2, 3, s).astype(np.float32) for s in ((3, 2, 11, 23), (5, 2, 3, 3), 5))
    y, code, numbers = np.zeros((3, 5, 4, 10), np.float32), np.zeros((3, 5, 4, 10), np.uint8), (1, 1, 0, 0, 1, 1)
    check_kernel("conv2d_relu_pool_forward", y, code, x, w, b, *numbers)
    cpu.kernels()["conv2d_relu_pool_forward"](y, code, x, w, b, *numbers)
    assert set(np.unique(code)) == {0, 1, 2, 3, NONE}
    dy = rng.integers(-9, 10, y.shape).astype(np.float32)
    check_kernel("conv2d_relu_pool_spread", np.ones((3, 5, 9, 21), np.float32), dy, code)
    check_kernel("conv2d_relu_pool_backward", np.zeros_like(w), np.zeros_like(b), dy, code, x, *numbers)
    check_kernel("conv2d_relu_pool_backward", np.zeros_like(w), None, dy, code, x, *numbers)


@TIERS
def test_ties_infinities_and_nan(tier):
    """As by the three ops: the first of equals takes the gradient, none where nothing is above zero, none for NaN."""
    x = np.random.default_rng(0).integers(-1, 2, (2, 1, 8, 40)).astype(np.float32)
    x[0, 0, 2, 5], x[0, 0, 4, 38], x[1, 0, 0, 0], x[1, 0, 1, 3], x[1, 0, 1, 2] = np.inf, np.nan, -np.inf, np.nan, 9
    w, found = np.array([1, -1], np.float32).reshape(2, 1, 1, 1), []
    for function in (mg.conv2d_relu_pool, lambda x, w: F.max_pool2d(F.conv2d(x, w).relu(), 2)):
        inputs = [mg.tensor(a, requires_grad=True) for a in (x, w)]
        with mg.tier(tier):
            y = function(*inputs)
            found.append(
                [y.detach().numpy(), grad(y, inputs[0], mg.arange(float(y.numel())).reshape(y.shape))[0].numpy()]
            )
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isnan(found[0][0]).sum() == 4


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ids=str)
def test_some_gradients_only(wanted):
    rng, i = np.random.default_rng(0), wanted.index(1)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in SHAPES[0]]
    everything = [mg.tensor(a, requires_grad=True) for a in arrays]
    one = [mg.tensor(a, requires_grad=bool(w)) for a, w in zip(arrays, wanted, strict=True)]
    expected = grad(mg.conv2d_relu_pool(*everything).sum(), everything)[i]
    np.testing.assert_array_equal(grad(mg.conv2d_relu_pool(*one).sum(), one[i])[0].numpy(), expected.numpy())


def test_few_channels_are_fused_and_many_are_not():
    few, many = ([mg.zeros(*s).requires_grad_() for s in shapes] for shapes in (SHAPES[0], MANY))
    assert isinstance(mg.conv2d_relu_pool(*few).node, Conv2dReluPool)
    assert not isinstance(mg.conv2d_relu_pool(*many).node, Conv2dReluPool)
    integers = mg.conv2d_relu_pool(mg.ones(1, 2, 2, dtype=mg.int64), mg.ones(1, 1, 1, 1, dtype=mg.int64))
    assert integers.dtype == mg.int64


def zeros(*shapes):
    return [np.zeros(s, np.uint8 if i == 1 else np.float32) for i, s in enumerate(shapes)]


Y, GOOD = (1, 2, 2, 2), (1, 1, 0, 0, 1, 1)
WRONG = [
    ("forward", [*zeros(Y, (1, 2, 2, 3), (1, 3, 4, 4), (2, 3, 1, 1)), None, *GOOD], r"shapes \(1, 2, 2, 3\)"),
    ("forward", [*zeros(Y, Y, (1, 2, 4, 4), (2, 3, 1, 1)), None, *GOOD], "expected y"),
    ("forward", [*zeros(Y, Y, (1, 3, 4, 4), (2, 3, 1, 1), 3), *GOOD], r"bias \(out,\)"),
    ("forward", [*zeros(Y, Y, (1, 3, 4, 4), (2, 3, 0, 1)), None, *GOOD], "at least one element"),
    ("forward", [*zeros(Y, Y, (1, 3, 4, 4), (2, 3, 1, 1)), None, 0, *GOOD[1:]], "must be positive"),
    ("spread", [zeros((1, 2, 3, 4))[0], *zeros(Y, Y)], "squares that lie inside"),
]


@native
@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()[f"conv2d_relu_pool_{name}"](*arguments)


X, W = mg.ones(1, 3, 4, 4), mg.ones(2, 3, 3, 3)
ERRORS = [
    (lambda: mg.conv2d_relu_pool(X, mg.ones(2, 2, 3, 3)), RuntimeError, r"\[conv2d\] input .* expected 2"),
    (lambda: mg.conv2d_relu_pool(X, W, mg.ones(3)), RuntimeError, r"\[conv2d\] bias"),
    (lambda: mg.conv2d_relu_pool(X, mg.ones(2, 3, 4, 4)), RuntimeError, r"\[max_pool2d\] .* no output is left"),
    (lambda: mg.conv2d_relu_pool(X, mg.ones(2, 3, 5, 5)), RuntimeError, r"\[conv2d\] windows"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
