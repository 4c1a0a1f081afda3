"""Elementwise ops of one tensor."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.nn import functional as F
from tests.ops.harness import Case, check
from tests.ops.inputs import ONE

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def row(name, function, numpy, torch=None, **options):
    kernels = options.pop("kernels", (f"{name}_forward", f"{name}_backward"))
    torch = torch or (lambda torch, x: getattr(torch, name)(x))
    return Case(name, function, drawn=ONE, numpy=numpy, torch=torch, kernels=kernels, **options)


CASES = [
    row("neg", mg.neg, np.negative),
    row("sign", mg.sign, np.sign, twice=False),
    row("abs", mg.abs, np.abs),
    row("exp", mg.exp, np.exp),
    row("log", mg.log, np.log, values=(0.1, 3)),
    row("sqrt", mg.sqrt, np.sqrt, values=(0.1, 3)),
    row("relu", mg.relu, lambda x: np.maximum(x, 0)),
    row("sigmoid", mg.sigmoid, sigmoid, values=(-6, 6)),
    row("tanh", mg.tanh, np.tanh),
    row("erf", mg.erf, erf),
    row("silu", F.silu, lambda x: x * sigmoid(x), lambda torch, x: torch.nn.functional.silu(x), values=(-6, 6)),
    row("gelu", F.gelu, gelu, lambda torch, x: torch.nn.functional.gelu(x)),
    row(
        "gelu_tanh",
        lambda x: F.gelu(x, approximate="tanh"),
        gelu_tanh,
        lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
    row("pow_scalar", lambda x: x**3.0, lambda x: x**3, lambda torch, x: x**3),
    row("pow_scalar", lambda x: x**-1.5, lambda x: x**-1.5, lambda torch, x: x**-1.5, values=(0.3, 3)),
    row("pow_scalar", lambda x: x**0, lambda x: x**0, lambda torch, x: x**0),
    row("pow_scalar", lambda x: x**2, lambda x: x**2, lambda torch, x: x**2),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


# Where the derivative has a corner: (function, x, dy/dx, as documented and as PyTorch has it)
CORNERS = [
    ("abs", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("sign", 0.0, 0.0),
    ("sqrt", 0.0, math.inf),
    ("log", 0.0, math.inf),
    ("sigmoid", 1000.0, 0.0),
    ("sigmoid", -1000.0, 0.0),
    ("tanh", 50.0, 0.0),
    ("exp", -math.inf, 0.0),
]


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
@pytest.mark.parametrize(("name", "at", "slope"), CORNERS)
def test_gradients_at_corners(name, at, slope, dtype):
    x = mg.tensor([at] * 9, dtype=dtype, requires_grad=True)
    getattr(mg, name)(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), slope)


@pytest.mark.parametrize(("exponent", "slope"), [(0, 0.0), (1, 1.0), (2, 0.0), (0.5, math.inf)])
def test_gradients_of_powers_at_zero(exponent, slope):
    x = mg.zeros(3, requires_grad=True)
    (x**exponent).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), slope)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sigmoid", "tanh", "erf"])
def test_integers_become_floats(name):
    out = getattr(mg, name)(mg.tensor([1, 2]))
    assert out.dtype is mg.float32
    np.testing.assert_allclose(out.numpy(), getattr(mg, name)(mg.tensor([1.0, 2.0])).numpy())


@pytest.mark.parametrize("name", ["neg", "sign", "abs", "relu"])
def test_integers_stay_integers(name):
    out = getattr(mg, name)(mg.tensor([-3, 0, 2], dtype=mg.int16))
    expected = {"neg": [3, 0, -2], "sign": [-1, 0, 1], "abs": [3, 0, 2], "relu": [0, 0, 2]}[name]
    assert (out.dtype, out.tolist()) == (mg.int16, expected)


def test_bools_have_no_negative():
    with pytest.raises(RuntimeError, match=r"\[neg\]"):
        -mg.tensor([True])


def test_only_tensors_are_taken():
    with pytest.raises(TypeError, match=r"\[exp\] input must be a Tensor, found ndarray"):
        mg.exp(np.ones(2))


FORMS = [
    (
        F.gelu,
        gelu,
        lambda x: 0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    (F.silu, lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
]


@pytest.mark.parametrize(("function", "value", "slope"), FORMS)
def test_everywhere(function, value, slope):
    """The native bodies have formulas of their own: hold them to float64 on a fine grid, and far out."""
    x = np.concatenate([np.linspace(-12, 12, 100001), [-1e4, -88, -30, -14, 14, 30, 88, 1e4]]).astype(np.float32)
    t = mg.tensor(x, requires_grad=True)
    y = function(t)
    y.sum().backward()
    with np.errstate(over="ignore", under="ignore"):
        exact, tangent = value(x.astype(np.float64)), slope(x.astype(np.float64))
    np.testing.assert_allclose(y.detach().numpy(), exact, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(t.grad.numpy(), tangent, rtol=2e-6, atol=1e-6)


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")
def test_gelu_keeps_its_digits_in_the_tail():
    """Where 1 + erf has none left."""
    x = np.linspace(-5, -3, 1001).astype(np.float32)
    exact = [0.5 * float(v) * math.erfc(-float(v) / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(F.gelu(mg.tensor(x)).numpy(), exact, rtol=3e-6)


def test_silu_in_place():
    x = mg.tensor([-1.0, 2.0])
    assert F.silu(x, inplace=True) is x
    np.testing.assert_allclose(x.numpy(), [-1 / (1 + math.e), 2 / (1 + math.exp(-2))], rtol=1e-6)


def test_gelu_knows_two_forms():
    with pytest.raises(ValueError, match=r"\[gelu\] approximate must be 'none' or 'tanh', found 'no'"):
        F.gelu(mg.ones(1), approximate="no")
