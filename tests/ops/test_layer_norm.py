"""layer_norm, over one dimension and several, with and without weight and bias."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.backend import cpu
from minigrad.kernel import KERNELS
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")

# rows of 1, of fewer and of more elements than fit into lanes, of more than a block; short rows and long; sizes 0
COLS = [(4, 5), (1, 1), (7, 1), (0, 3), (17, 10), (2, 64), (3, 65), (9, 63), (3, 33)]
COLS += [(2049, 7), (130, 1000), (2, 50257), (20011, 10), (301, 700)]
PLAIN = [((r, c),) for r, c in COLS]
WEIGHTED = [((r, c), (c,)) for r, c in COLS]
AFFINE = [((r, c), (c,), (c,)) for r, c in COLS]
SEVERAL = [((3, 2, 5), (2, 5), (2, 5)), ((2, 3, 4, 1), (4, 1), (4, 1))]
KERNEL_NAMES = ("layer_norm_forward", "layer_norm_backward")


def layer_norm(x, weight=None, bias=None, eps=1e-5, dims=1):
    axes = tuple(range(-dims, 0))
    centred = x - x.mean(axes, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + eps)
    return y * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)


def row(name, shapes, numpy, dims=1, eps=1e-5):
    def function(functional, x, weight=None, bias=None):
        return functional.layer_norm(x, tuple(x.shape[-dims:]), weight, bias, eps)

    return Case(
        name,
        lambda *inputs: function(F, *inputs),
        shapes,
        numpy=numpy,
        torch=lambda torch, *inputs: function(torch.nn.functional, *inputs),
        kernels=KERNEL_NAMES,
        rtol=1e-5,
        atol=1e-5,
        ulps=4.0,
    )


CASES = [
    row("without weight", PLAIN, layer_norm),
    row("with a weight", WEIGHTED, layer_norm),
    row("with weight and bias", AFFINE, layer_norm),
    row("over two dimensions", SEVERAL, lambda x, w, b: layer_norm(x, w, b, dims=2), dims=2),
    row("with a large eps", AFFINE[:1], lambda x, w, b: layer_norm(x, w, b, 0.5), eps=0.5),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@TIERS
@pytest.mark.parametrize("cols", [48, 768])
def test_far_from_zero(cols, tier):
    """Squares of what is left after the mean, not the mean of squares: 10000 +- 1 keeps its digits."""
    x = (1e4 + np.random.default_rng(0).uniform(-1, 1, (9, cols))).astype(np.float32)
    with mg.tier(tier):
        y = F.layer_norm(mg.tensor(x), (cols,)).numpy()
    np.testing.assert_allclose(y, layer_norm(x.astype(np.float64)), rtol=0, atol=2e-3)


@TIERS
@pytest.mark.parametrize("cols", [5, 100])
def test_equal_elements_and_nan(cols, tier):
    x = np.full((3, cols), 7, np.float32)
    x[1, 0] = np.nan
    with mg.tier(tier):
        y = F.layer_norm(mg.tensor(x), (cols,)).numpy()
    np.testing.assert_allclose(y[[0, 2]], 0, atol=1e-3)
    assert np.isnan(y[1]).all()


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)], ids=str)
def test_some_gradients_only(wanted):
    rng = np.random.default_rng(3)
    arrays, dy = [rng.standard_normal(s) for s in ((6, 70), (70,), (70,))], mg.tensor(rng.standard_normal((6, 70)))
    everything = [mg.tensor(a).requires_grad_() for a in arrays]
    one = [mg.tensor(a).requires_grad_(w) for a, w in zip(arrays, wanted, strict=True)]
    i = wanted.index(True)
    expected = grad(F.layer_norm(everything[0], (70,), *everything[1:]), everything, dy)[i]
    found = grad(F.layer_norm(one[0], (70,), *one[1:]), one[i], dy)[0]
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def zeros(*shapes):
    return [np.zeros(s, np.float32) for s in shapes]


WRONG = [
    (KERNEL_NAMES[0], [*zeros((2, 3), 3, 2, (2, 3)), None, None, 1e-5], r"mean and rstd of shape \(rows,\)"),
    (KERNEL_NAMES[0], [*zeros((2, 4), 2, 2, (2, 3)), None, None, 1e-5], r"shapes \(2, 4\) and \(2, 3\)"),
    (KERNEL_NAMES[0], [*zeros((2, 3), 2, 2, (2, 3), 2), None, 1e-5], r"a weight of shape \(cols,\)"),
    (KERNEL_NAMES[0], [*zeros((2, 3), 2, 2, (2, 3), 3, 2), 1e-5], r"a bias of shape \(cols,\)"),
    (KERNEL_NAMES[1], [*zeros((2, 3), 2, 3, (2, 3), (2, 3), 3, 2, 2)], r"dw and db of shape \(cols,\)"),
    (KERNEL_NAMES[1], [*zeros((2, 3), 3, 3, (3, 2), (2, 3), 3, 2, 2)], r"shapes \(3, 2\) and \(2, 3\)"),
]


@native
@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()[name](*arguments)


@native
def test_gradients_nobody_wants_may_be_missing():
    rng = np.random.default_rng(0)
    for cols in (7, 300):
        dy, x = rng.standard_normal((2, 40, cols)).astype(np.float32)
        mean, rstd, y = *zeros(40, 40), np.empty_like(x)
        cpu.kernels()[KERNEL_NAMES[0]](y, mean, rstd, x, None, None, 1e-5)
        runs = []
        for dw, db in (zeros(cols, cols), [None, None], [np.ones(cols, np.float32), None]):
            runs.append((np.empty_like(x), dw, db))
            KERNELS[KERNEL_NAMES[1]](*runs[-1], dy, x, None, mean, rstd)
        for dx, dw, _ in runs[1:]:
            np.testing.assert_allclose(dx, runs[0][0], rtol=1e-5, atol=1e-5)
            assert dw is None or (dw == runs[0][1]).all()


ERRORS = [
    (lambda: F.layer_norm(mg.ones(2, 3), (2,)), RuntimeError, r"\[layer_norm\]"),
    (lambda: F.layer_norm(mg.ones(2, 3), ()), RuntimeError, r"\[layer_norm\]"),
    (lambda: F.layer_norm(mg.ones(2, 3), (3,), mg.ones(2)), RuntimeError, r"\[layer_norm\]"),
    (lambda: F.layer_norm(mg.ones(2, 3), (3,), mg.ones(3), mg.ones(2)), RuntimeError, r"\[layer_norm\]"),
    (lambda: F.layer_norm([1.0], (1,)), TypeError, r"\[layer_norm\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
