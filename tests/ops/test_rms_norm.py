"""rms_norm, over one dimension and several, with and without weight."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.backend import cpu
from minigrad.kernel import KERNELS
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check
from tests.ops.test_layer_norm import PLAIN, SEVERAL, WEIGHTED, zeros

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")
KERNEL_NAMES = ("rms_norm_forward", "rms_norm_backward")


def rms_norm(x, weight=None, eps=1e-5, dims=1):
    y = x / np.sqrt((x**2).mean(tuple(range(-dims, 0)), keepdims=True) + eps)
    return y if weight is None else y * weight


def row(name, shapes, numpy, dims=1, eps=1e-5):
    def function(functional, x, weight=None):
        return functional.rms_norm(x, tuple(x.shape[-dims:]), weight, eps)

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
    row("without weight", PLAIN, rms_norm),
    row("with a weight", WEIGHTED, rms_norm),
    row("over two dimensions", [s[:2] for s in SEVERAL], lambda x, w: rms_norm(x, w, dims=2), dims=2),
    row("with a large eps", WEIGHTED[:1], lambda x, w: rms_norm(x, w, 0.5), eps=0.5),
    row("with the eps of the dtype", WEIGHTED[:1], lambda x, w: rms_norm(x, w, 2.0**-52), eps=None),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@TIERS
@pytest.mark.parametrize("cols", [5, 100])
def test_zeros_and_nan(cols, tier):
    x = np.zeros((3, cols), np.float32)
    x[1, 0] = np.nan
    with mg.tier(tier):
        y = F.rms_norm(mg.tensor(x), (cols,)).numpy()
    assert (y[[0, 2]] == 0).all() and np.isnan(y[1]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_eps_of_a_dtype_is_pytorchs(dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = np.full((1, 4), 1e-3, np.float32)
    mine = F.rms_norm(mg.tensor(x).to(getattr(mg, dtype)), (4,))
    other = torch.nn.functional.rms_norm(torch.tensor(x).to(getattr(torch, dtype)), (4,))
    np.testing.assert_allclose(mine.to(mg.float32).numpy(), other.float().numpy(), rtol=1e-6)


def test_the_gradient_of_x_alone():
    rng = np.random.default_rng(3)
    x, w = (mg.tensor(rng.standard_normal(s).astype(np.float32)) for s in ((6, 70), (70,)))
    runs = []
    for wanted in (True, False):
        inputs = x.detach().requires_grad_(), w.detach().requires_grad_(wanted)
        F.rms_norm(inputs[0], (70,), inputs[1]).sum().backward()
        runs.append(inputs)
    np.testing.assert_array_equal(runs[0][0].grad.numpy(), runs[1][0].grad.numpy())
    assert runs[1][1].grad is None


def test_layer():
    layer = nn.RMSNorm((2, 3), eps=0.1)
    assert repr(layer) == "RMSNorm((2, 3), eps=0.1, elementwise_affine=True)"
    assert list(layer.state_dict()) == ["weight"] and layer.weight.tolist() == [[1.0] * 3] * 2
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(layer(mg.tensor(x)).detach().numpy(), rms_norm(x, None, 0.1, 2), rtol=1e-5)
    assert not list(nn.RMSNorm(3, elementwise_affine=False).parameters())


WRONG = [
    (KERNEL_NAMES[0], [*zeros((2, 3), 3, (2, 3)), None, 1e-5], r"rstd of shape \(rows,\)"),
    (KERNEL_NAMES[0], [*zeros((2, 4), 2, (2, 3)), None, 1e-5], r"shapes \(2, 4\) and \(2, 3\)"),
    (KERNEL_NAMES[0], [*zeros((2, 3), 2, (2, 3), 2), 1e-5], r"a weight of shape \(cols,\)"),
    (KERNEL_NAMES[1], [*zeros((2, 3), 2, (2, 3), (2, 3), 3, 2)], r"dw of shape \(cols,\)"),
    (KERNEL_NAMES[1], [*zeros((2, 3), 3, (3, 2), (2, 3), 3, 2)], r"shapes \(3, 2\) and \(2, 3\)"),
]


@native
@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_sizes_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpu.kernels()[name](*arguments)


def test_a_gradient_nobody_wants_may_be_missing():
    rng = np.random.default_rng(0)
    for cols in (7, 300):
        dy, x = rng.standard_normal((2, 40, cols)).astype(np.float32)
        rstd, y, runs = *zeros(40), np.empty_like(x), []
        KERNELS[KERNEL_NAMES[0]](y, rstd, x, None, 1e-5)
        for dw in (*zeros(cols), None):
            runs.append(np.empty_like(x))
            KERNELS[KERNEL_NAMES[1]](runs[-1], dw, dy, x, None, rstd)
        np.testing.assert_array_equal(*runs)


ERRORS = [
    (lambda: F.rms_norm(mg.ones(2, 3), (2,)), RuntimeError, r"\[rms_norm\]"),
    (lambda: F.rms_norm(mg.ones(2, 3), 3), TypeError, r"\[rms_norm\] normalized_shape must be a tuple"),
    (lambda: F.rms_norm(mg.ones(2, 3), (3,), mg.ones(2)), RuntimeError, r"\[rms_norm\] weight has shape"),
    (lambda: F.rms_norm([1.0], (1,)), TypeError, r"\[rms_norm\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
