"""linear and linear_relu."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.ops.linear import linear_relu
from tests.ops.harness import Case, check
from tests.ops.inputs import same

# input, weight, bias: vectors, batches, empty sizes; the last two engage threads
LINEAR = [((3, 4), (5, 4), (5,)), ((4,), (5, 4), (5,)), ((2, 3, 4), (5, 4), (5,)), ((0, 4), (5, 4), (5,))]
LINEAR += [((1, 1), (1, 1), (1,)), ((3, 0), (5, 0), (5,)), ((2, 3), (0, 3), (0,)), ((131, 65), (66, 65), (66,))]
LINEAR += [((700, 9), (70, 9), (70,))]

CASES = [
    Case(
        "linear",
        F.linear,
        LINEAR,
        numpy=lambda x, w, b: x @ w.T + b,
        kernels=("linear_forward", "linear_backward_bias", "matmul_forward"),
        torch=lambda t, *args: t.nn.functional.linear(*args),
        rtol=1e-5,
    ),
    Case(
        "linear without bias",
        lambda x, w: F.linear(x, w),
        [s[:2] for s in LINEAR],
        numpy=lambda x, w: x @ w.T,
        rtol=1e-5,
        torch=lambda t, *args: t.nn.functional.linear(*args),
        kernels=("linear_forward",),
    ),
    Case(
        "linear_relu",
        linear_relu,
        LINEAR,
        numpy=lambda x, w, b: np.maximum(x @ w.T + b, 0),
        kernels=("linear_relu_forward", "linear_relu_backward", "matmul_forward"),
        torch=lambda t, *args: t.nn.functional.linear(*args).relu(),
        rtol=1e-5,
    ),
    Case(
        "linear_relu without bias",
        lambda x, w: linear_relu(x, w),
        [s[:2] for s in LINEAR],
        numpy=lambda x, w: np.maximum(x @ w.T, 0),
        rtol=1e-5,
        torch=lambda t, *args: t.nn.functional.linear(*args).relu(),
        kernels=("linear_relu_forward", "linear_relu_backward"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64, mg.float16, mg.bfloat16], ids=str)
@pytest.mark.parametrize("shapes", LINEAR, ids=str)
def test_relu_in_the_product_changes_no_bit(dtype, shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]

    def run(function):
        inputs = [mg.from_numpy(a.copy()).requires_grad_() for a in arrays]
        y = function(*inputs)
        y.backward(mg.from_numpy(rng.standard_normal(y.shape).astype(dtype)))
        return [y.detach().numpy(), *(x.grad.numpy() for x in inputs)]

    rng = np.random.default_rng(1)
    plain = run(lambda *args: F.linear(*args).relu())
    rng = np.random.default_rng(1)
    for a, b in zip(run(linear_relu), plain, strict=True):
        same(a, b, 0, 0, "fused against plain")


def test_integers():
    a = mg.tensor([[1, 2], [3, -4]])
    assert F.linear(a, a, mg.tensor([1, 1])).tolist() == [[6, -4], [-4, 26]]
    assert linear_relu(a, a, mg.tensor([1, 1])).tolist() == [[6, 0], [0, 26]]


@pytest.mark.parametrize("function", [F.linear, linear_relu])
def test_differentiates_only_what_is_asked(function):
    x, w = mg.ones(2, 3), mg.ones(4, 3, requires_grad=True)
    function(x, w).sum().backward()
    assert (x.grad, w.grad.tolist()) == (None, [[2.0] * 3] * 4)


def test_the_sum_over_many_rows_is_accurate():
    rows = mg.full((100_000, 11), 0.1)
    for function in (F.linear, linear_relu):
        bias = mg.zeros(11, requires_grad=True)
        function(rows, mg.eye(11), bias).backward(rows)
        assert bias.grad.tolist() == pytest.approx([100_000 * float(np.float32(0.1))] * 11, rel=1e-6)


M, V = mg.ones(2, 3), mg.ones(3)
WRONG = [
    (lambda: F.linear(M, mg.ones(4, 2)), RuntimeError, r"\[linear\] input \(2, 3\) and weight \(4, 2\) cannot be"),
    (lambda: F.linear(M, mg.ones(4, 3), V), RuntimeError, r"\[linear\] bias has shape \(3,\), expected \(4,\)"),
    (
        lambda: F.linear(M, mg.ones(4, 3).double()),
        RuntimeError,
        r"\[linear\] weight has dtype float64, expected that of",
    ),
    (lambda: F.linear(M, None), TypeError, r"\[linear\] weight must be a Tensor, found NoneType"),
    (lambda: linear_relu(M, mg.ones(4, 2)), RuntimeError, r"\[linear_relu\] input \(2, 3\) and weight \(4, 2\)"),
    (lambda: linear_relu(M, mg.ones(4, 3), V), RuntimeError, r"\[linear_relu\] bias has shape \(3,\), expected"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
