"""linear_relu, linear_gelu and linear_add."""

from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.ops.linear_fused import linear_add, linear_gelu, linear_relu
from minigrad.special import erf
from tests.ops.harness import Case, check
from tests.ops.inputs import same
from tests.ops.test_linear import LINEAR

ADD = [(x, w, (*x[:-1], w[0]), b) for x, w, b in LINEAR]
gelu_tanh = partial(linear_gelu, approximate="tanh")


def numpy_gelu(z):
    return z * 0.5 * (1 + erf(z / np.sqrt(2)))


def numpy_gelu_tanh(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def torch_linear(after):
    return lambda t, *args: after(t.nn.functional, t.nn.functional.linear(*args))


CASES = [
    Case(
        "linear_relu",
        linear_relu,
        LINEAR,
        numpy=lambda x, w, b: np.maximum(x @ w.T + b, 0),
        kernels=("linear_relu_forward", "linear_relu_backward", "matmul_forward"),
        torch=torch_linear(lambda f, z: f.relu(z)),
        rtol=1e-5,
    ),
    Case(
        "linear_relu without bias",
        lambda x, w: linear_relu(x, w),
        [s[:2] for s in LINEAR],
        numpy=lambda x, w: np.maximum(x @ w.T, 0),
        rtol=1e-5,
        torch=torch_linear(lambda f, z: f.relu(z)),
        kernels=("linear_relu_forward", "linear_relu_backward"),
    ),
    Case(
        "linear_gelu",
        linear_gelu,
        LINEAR,
        numpy=lambda x, w, b: numpy_gelu(x @ w.T + b),
        kernels=("linear_gelu_forward", "linear_gelu_backward"),
        torch=torch_linear(lambda f, z: f.gelu(z)),
        rtol=1e-5,
        ulps=2,
        extremes=False,
    ),
    Case(
        "linear_gelu, tanh",
        gelu_tanh,
        LINEAR,
        numpy=lambda x, w, b: numpy_gelu_tanh(x @ w.T + b),
        torch=torch_linear(lambda f, z: f.gelu(z, approximate="tanh")),
        rtol=1e-5,
        ulps=2,
        extremes=False,
    ),
    Case(
        "linear_add",
        lambda x, w, other, b: linear_add(x, w, other, b),
        ADD,
        numpy=lambda x, w, other, b: x @ w.T + b + other,
        kernels=("linear_add_forward", "linear_backward_bias"),
        torch=lambda t, x, w, other, b: t.nn.functional.linear(x, w, b) + other,
        rtol=1e-5,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def outcome(function, arrays, dtype):
    """The result of a function and all its gradients."""
    inputs = [mg.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]
    y = function(*inputs)
    rng = np.random.default_rng(1)
    y.backward(mg.from_numpy(rng.standard_normal(y.shape).astype(dtype)))
    return [y.detach().numpy(), *(x.grad.numpy() for x in inputs)]


PAIRS = {
    "relu": (linear_relu, lambda x, w, b: F.linear(x, w, b).relu()),
    "gelu": (linear_gelu, lambda x, w, b: F.gelu(F.linear(x, w, b))),
    "gelu, tanh": (gelu_tanh, lambda x, w, b: F.gelu(F.linear(x, w, b), "tanh")),
}


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64, mg.float16, mg.bfloat16], ids=str)
@pytest.mark.parametrize("shapes", LINEAR, ids=str)
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.cpu_only("what is fused and what is not agree to the bit on the CPU")
def test_what_follows_in_the_same_pass_changes_no_bit(name, shapes, dtype):
    if name != "relu" and dtype in (mg.float16, mg.bfloat16):
        pytest.skip("gelu in the same pass rounds halves once less")
    fused, plain = PAIRS[name]
    arrays = [np.random.default_rng(0).standard_normal(s) for s in shapes]
    for a, b in zip(outcome(fused, arrays, dtype), outcome(plain, arrays, dtype), strict=True):
        same(a, b, 0, 0, "fused against plain")


@pytest.mark.parametrize("function", [linear_relu, linear_gelu])
def test_differentiates_only_what_is_asked(function):
    x, w = mg.ones(2, 3), mg.ones(4, 3, requires_grad=True)
    function(x, w).sum().backward()
    assert x.grad is None and w.grad.numpy() == pytest.approx(2, rel=0.02)
    with mg.no_grad():
        assert function(x, w).numpy() == pytest.approx(3, rel=0.01)


def test_integers_and_other_shapes_take_the_long_way():
    a = mg.tensor([[1, 2], [3, -4]])
    assert linear_relu(a, a, mg.tensor([1, 1])).tolist() == [[6, 0], [0, 26]]
    assert linear_add(a, a, a).tolist() == [[6, -3], [-2, 21]]
    assert linear_add(mg.ones(2, 3), mg.ones(4, 3), mg.ones(4)).tolist() == [[4.0] * 4] * 2


M, V = mg.ones(2, 3), mg.ones(3)
WRONG = [
    (lambda: linear_relu(M, mg.ones(4, 2)), RuntimeError, r"\[linear_relu\] input \(2, 3\) and weight \(4, 2\)"),
    (lambda: linear_relu(M, mg.ones(4, 3), V), RuntimeError, r"\[linear_relu\] bias has shape \(3,\), expected"),
    (lambda: linear_gelu(M, mg.ones(4, 3), approximate="no"), ValueError, r"\[gelu\] approximate must be"),
    (lambda: linear_gelu(M, mg.ones(4, 2)), RuntimeError, r"\[linear\] input"),
    (lambda: linear_add(M, mg.ones(4, 3), mg.ones(3, 4)), RuntimeError, r"\[add\] shapes .* do not broadcast"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
