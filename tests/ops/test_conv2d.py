"""conv2d: windows of all kinds, each against the definition; drawn windows; what it refuses."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.nn import functional as F
from minigrad.testing import check_kernel
from tests.ops.harness import TIERS, Case, check, check_native, check_values
from tests.ops.inputs import draw

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def conv2d(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """By the definition: every window by itself, every group by itself."""
    (sh, sw), (dh, dw), images, (kh, kw) = pair(stride), pair(dilation), x.reshape(-1, *x.shape[-3:]), w.shape[2:]
    span = np.array([(kh - 1) * dh, (kw - 1) * dw])
    before = span // 2 if padding == "same" else np.array(pair(0 if padding == "valid" else padding))
    after = span - before if padding == "same" else before
    framed = np.pad(images, [(0, 0), (0, 0), *zip(before, after, strict=True)])
    h, w_out = (framed.shape[2] - span[0] - 1) // sh + 1, (framed.shape[3] - span[1] - 1) // sw + 1
    y, ins, outs = np.empty((len(images), len(w), h, w_out)), w.shape[1], len(w) // groups
    for i, j, g in itertools.product(range(h), range(w_out), range(groups)):
        top, left = i * sh, j * sw
        seen = framed[:, g * ins : (g + 1) * ins, top : top + span[0] + 1 : dh, left : left + span[1] + 1 : dw]
        y[:, g * outs : (g + 1) * outs, i, j] = np.tensordot(seen, w[g * outs : (g + 1) * outs], ([1, 2, 3], [1, 2, 3]))
    y = y if bias is None else y + bias[:, None, None]
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def row(shapes, **options):
    return Case(
        " ".join(f"{key} {value}" for key, value in options.items()) or "plain",
        lambda *inputs: F.conv2d(*inputs, **options),
        shapes,
        numpy=lambda *inputs: conv2d(*inputs, **options),
        torch=lambda torch, *inputs: torch.nn.functional.conv2d(*inputs, **options),
        kernels=("conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"),
        rtol=1e-5,
        atol=5e-6,
        ulps=4.0,
    )


def sizes(x, w, bias=True):
    return (x, w, (w[0],)) if bias else (x, w)


# Fewer pixels than lanes, as many, a tail; a single image, none, no batch; several tiles of output channels and a tail
PLAIN = [
    sizes((2, 3, 5, 6), (4, 3, 3, 3)),
    sizes((2, 3, 5, 4), (4, 3, 2, 3), bias=False),
    sizes((3, 4, 5), (2, 3, 2, 2)),
    sizes((0, 2, 4, 4), (3, 2, 3, 3)),
    sizes((2, 1, 1, 1), (1, 1, 1, 1)),
    sizes((1, 2, 4, 17), (7, 2, 1, 2)),
    sizes((3, 5, 7, 8), (15, 5, 1, 1)),
]
# As trained on digits; many channels (two slices), large images (bands of rows), 1 x 1 windows (in place, and in bands)
LARGE = [
    sizes((24, 1, 28, 28), (32, 1, 3, 3)),
    sizes((33, 80, 7, 7), (35, 80, 3, 3)),
    sizes((2, 9, 130, 61), (6, 9, 3, 3), bias=False),
    sizes((2, 4, 17, 500), (7, 4, 3, 3)),
    sizes((5, 70, 20, 21), (33, 70, 1, 1)),
    sizes((1, 700, 3, 40), (5, 700, 1, 1)),
]
GROUPED = [sizes((2, 4, 6, 5), (6, 2, 3, 2)), sizes((17, 4, 14, 15), (40, 2, 3, 3))]
# Windows of 3 x 3 over many channels: patches cut off on all sides, vectors of channels too, rows that make more
# than a task, images narrower than a vector, one small enough for all checks
WINOGRAD = [
    sizes((3, 8, 12, 12), (16, 8, 3, 3)),
    sizes((5, 17, 12, 13), (26, 17, 3, 3)),
    sizes((2, 16, 70, 33), (48, 16, 3, 3), bias=False),
    sizes((70, 40, 6, 7), (33, 40, 3, 3)),
]
# Every channel by itself: more taps than are summed at a time, rows shorter and longer than a vector
DEPTHWISE = [
    sizes((2, 5, 6, 5), (5, 1, 3, 3)),
    sizes((19, 5, 13, 30), (5, 1, 5, 4), bias=False),
    sizes((3, 5, 4, 67), (5, 1, 2, 3)),
]
CASES = [
    row([*PLAIN, *LARGE]),
    row([PLAIN[0], *LARGE[1:4], *WINOGRAD], padding=1),
    row(WINOGRAD[1:]),
    row(WINOGRAD[1:3], padding=(3, 2)),
    row([*PLAIN[:2], LARGE[2]], stride=2),
    row([PLAIN[0], LARGE[0]], stride=(2, 3), padding=(2, 1)),
    row([PLAIN[0], LARGE[0]], dilation=2, padding=2),
    row([PLAIN[0], sizes((3, 2, 40, 9), (5, 2, 3, 3))], dilation=(3, 1), padding=(3, 0), stride=(1, 2)),
    row([*PLAIN[:2], LARGE[1]], padding="same"),
    row([PLAIN[0]], padding="same", dilation=(2, 1)),
    row([PLAIN[0]], padding="valid"),
    row(GROUPED, groups=2),
    row(GROUPED, groups=2, stride=2, padding=1),
    row(DEPTHWISE, groups=5, padding=(1, 2)),
    row(DEPTHWISE, groups=5, padding=3, stride=(1, 2), dilation=(2, 1)),
    row(DEPTHWISE, groups=5, padding=2, stride=(2, 3), dilation=(1, 2)),
    row([sizes((1, 1, 260, 257), (1, 1, 3, 3))], padding=1),
    row([sizes((6, 37, 9, 30), (74, 1, 3, 3))], groups=37, padding=1),
    row([sizes((2, 2, 3, 3), (3, 2, 3, 2))], padding=4, stride=5),
    row([sizes((1, 2, 9, 9), (3, 2, 2, 1))], stride=4),
]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch's, for an even kernel
@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@st.composite
def drawn(draw):
    """Shapes of input, weight and bias, and windows that fit them."""

    def number(least, most):
        return draw(st.integers(least, most))

    groups, (ins, outs) = number(1, 3), (number(1, 3), number(1, 9))
    kernel, stride, padding, dilation = ((number(a, b), number(a, b)) for a, b in ((1, 4), (1, 4), (0, 3), (1, 3)))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = [max(1, s - 2 * p) + number(0, 12) for s, p in zip(spans, padding, strict=True)]
    shapes = (number(0, 3), groups * ins, *image), (groups * outs, ins, *kernel)
    return sizes(*shapes), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@given(drawn())
def test_drawn_windows(example):
    shapes, options = example
    case = row([shapes], **options)
    check_values(case, draw(case, shapes))
    check_native(case, draw(case, shapes, np.float32))


@native
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (8, 9), (0, 3)])
def test_more_padding_below_and_on_the_right(shape):
    """A kernel goes by the shape of y: windows may reach over the end, or leave rows and columns out."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 5, 6), (4, 3, 3, 2), 4))
    y, numbers = np.zeros((2, 4, *shape), np.float32), (2, 1, 1, 0, 1, 2, 1)
    check_kernel("conv2d_forward", y, x, w, b, *numbers, atol=1e-5)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    check_kernel("conv2d_backward_input", np.zeros_like(x), dy, w, *numbers, atol=1e-5)
    check_kernel("conv2d_backward_weight", np.zeros_like(w), np.zeros_like(b), dy, x, *numbers, atol=1e-5)
    check_kernel("conv2d_backward_weight", np.zeros_like(w), None, dy, x, *numbers, atol=1e-5)


@TIERS
def test_infinity_and_nan_stay_in_their_windows(tier):
    x, w = np.ones((1, 1, 6, 40), np.float32), np.ones((1, 1, 3, 3), np.float32)
    x[0, 0, 2, 5], x[0, 0, 4, 39] = np.inf, np.nan
    expected = np.full((4, 38), 9.0, np.float32)
    expected[:3, 3:6], expected[2:, 37:] = np.inf, np.nan
    with mg.tier(tier):
        y = F.conv2d(mg.tensor(x), mg.tensor(w)).numpy()
    np.testing.assert_array_equal(y[0, 0], expected)


@native
@pytest.mark.cpu_only("Winograd's way is the CPU's")
def test_windows_of_3_by_3_take_the_short_way():
    """A window of one tap would give x itself by plain sums."""
    x, w = np.random.default_rng(0).standard_normal((2, 16, 16, 16)).astype(np.float32), np.zeros((16, 16, 3, 3))
    w[range(16), range(16), 1, 1] = 1
    y = F.conv2d(mg.tensor(x), mg.tensor(w, dtype=mg.float32), padding=1).numpy()
    assert 0 < np.abs(y - x).max() < 1e-5


@native
@pytest.mark.parametrize("extreme", [np.inf, np.nan, 1e38, 1e-40])
def test_the_short_way_keeps_extremes_in_their_windows(extreme):
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s).astype(np.float32) for s in ((2, 16, 9, 16), (16, 16, 3, 3), (2, 16, 9, 16)))
    numbers = (1, 1, 1, 1, 1, 1, 1)
    x[0, 3, 4, 5] = dy[1, 2, 8, 15] = extreme
    check_kernel("conv2d_forward", np.zeros_like(dy), x, w, None, *numbers, rtol=1e-4, atol=1e-4)
    check_kernel("conv2d_backward_input", np.zeros_like(x), dy, w, *numbers, rtol=1e-4, atol=1e-4)
    check_kernel("conv2d_backward_weight", np.zeros_like(w), None, dy, x, *numbers, rtol=1e-4, atol=1e-3)


def test_no_input_channels():
    x, w, b = mg.zeros(2, 0, 4, 4), mg.zeros(3, 0, 3, 3, requires_grad=True), mg.ones(3).requires_grad_()
    y = F.conv2d(x, w, b)
    assert y.tolist() == np.ones((2, 3, 2, 2)).tolist()
    assert grad(y.sum(), [b], retain_graph=True)[0].tolist() == [8.0] * 3
    assert grad(y.sum(), [w, b])[1].tolist() == [8.0] * 3


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_integers(dtype):
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 9, (2, 4, 5, 5)).astype(dtype), rng.integers(0, 3, (6, 2, 3, 3)).astype(dtype)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), groups=2, padding=1)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), conv2d(x, w, groups=2, padding=1).astype(dtype))


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ids=str)
def test_some_gradients_only(wanted):
    case, i = CASES[0], wanted.index(1)
    arrays = draw(case, case.shapes[0])
    everything = [mg.tensor(a, requires_grad=True) for a in arrays]
    one = [mg.tensor(a, requires_grad=bool(w)) for a, w in zip(arrays, wanted, strict=True)]
    expected = grad(F.conv2d(*everything).sum(), everything)[i]
    np.testing.assert_array_equal(grad(F.conv2d(*one).sum(), one[i])[0].numpy(), expected.numpy())


def zeros(*shapes):
    return [np.zeros(s, np.float32) for s in shapes]


GOOD = (1, 1, 0, 0, 1, 1, 1)
WRONG = [
    ("conv2d_forward", [*zeros((1, 2, 3, 3), (1, 3, 3, 3), (2, 2, 1, 1)), None, *GOOD], "expected y"),
    ("conv2d_forward", [*zeros((1, 2, 3, 3), (2, 3, 3, 3), (2, 3, 1, 1)), None, *GOOD], "expected y"),
    ("conv2d_forward", [*zeros((1, 2, 3, 3), (1, 3, 3, 3), (2, 3, 1, 1), 3), *GOOD], r"bias \(out,\)"),
    ("conv2d_forward", [*zeros((1, 2, 3, 3), (1, 3, 3, 3), (2, 3, 1, 1)), None, 0, *GOOD[1:]], "must be positive"),
    ("conv2d_backward_input", [*zeros((3, 3, 3), (1, 2, 3, 3), (2, 3, 1, 1)), *GOOD], "four dimensions"),
    ("conv2d_backward_input", [*zeros((1, 3, 3, 3), (1, 3, 3, 3), (3, 1, 1, 1)), *GOOD[:-1], 2], "expected y"),
    ("conv2d_backward_weight", [*zeros((2, 3, 1, 1), 3, (1, 2, 3, 3), (1, 3, 3, 3)), *GOOD], r"db \(out,\)"),
    ("conv2d_backward_weight", [*zeros((2, 3, 0, 1), 2, (1, 2, 3, 3), (1, 3, 3, 3)), *GOOD], "at least one element"),
]


@native
@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()[name](*arguments)


X, W = mg.ones(1, 4, 5, 6), mg.ones(2, 4, 3, 3)
ERRORS = [
    (
        lambda: F.conv2d(mg.ones(64, 5408), W),
        RuntimeError,
        r"\[conv2d\] input \(64, 5408\) is no image, expected \(N, C",
    ),
    (lambda: F.conv2d(mg.ones(1, 4, 0, 6), W), RuntimeError, "is no image"),
    (lambda: F.conv2d(X, mg.ones(4, 3, 3)), RuntimeError, r"weight \(4, 3, 3\) does not fit"),
    (lambda: F.conv2d(X, mg.ones(2, 4, 0, 3)), RuntimeError, "does not fit"),
    (lambda: F.conv2d(X, mg.ones(2, 3, 3, 3)), RuntimeError, "has 4 channels, expected 3"),
    (lambda: F.conv2d(X, W, groups=2), RuntimeError, "has 4 channels, expected 8"),
    (lambda: F.conv2d(X, W, groups=0), RuntimeError, "0 groups, expected a divisor of the 2"),
    (lambda: F.conv2d(X, mg.ones(3, 2, 3, 3), groups=2), RuntimeError, "2 groups, expected a divisor of the 3"),
    (lambda: F.conv2d(X, W, mg.ones(3)), RuntimeError, r"bias has shape \(3,\), expected \(2,\)"),
    (lambda: F.conv2d(X, W.to(mg.float64)), RuntimeError, "weight has dtype float64, expected that of the input"),
    (lambda: F.conv2d(X > 0, W > 0), RuntimeError, "no bool"),
    (lambda: F.conv2d(X, mg.ones(2, 4, 6, 3)), RuntimeError, r"windows \(6, 3\) .* larger than images \(5, 6\)"),
    (lambda: F.conv2d(X, W, dilation=3), RuntimeError, "larger than images"),
    (lambda: F.conv2d(X, W, stride=0), RuntimeError, "stride must be at least 1, found 0"),
    (lambda: F.conv2d(X, W, padding=-1), RuntimeError, "padding must be at least 0, found -1"),
    (
        lambda: F.conv2d(X, W, stride=(1, 1, 1)),
        RuntimeError,
        r"stride must be an int or two of them, found \(1, 1, 1\)",
    ),
    (lambda: F.conv2d(X, W, padding=1.5), TypeError, "padding must be an int or two"),
    (lambda: F.conv2d(X, W, padding="full"), RuntimeError, "padding 'full' is unknown"),
    (lambda: F.conv2d(X, W, stride=2, padding="same"), RuntimeError, r"'same' needs stride 1, found \(2, 2\)"),
    (lambda: F.conv2d([1.0], W), TypeError, "input must be a Tensor"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
