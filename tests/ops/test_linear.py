"""linear."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import Case, check

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
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_integers():
    a = mg.tensor([[1, 2], [3, -4]])
    assert F.linear(a, a, mg.tensor([1, 1])).tolist() == [[6, -4], [-4, 26]]


def test_differentiates_only_what_is_asked():
    x, w = mg.ones(2, 3), mg.ones(4, 3, requires_grad=True)
    F.linear(x, w).sum().backward()
    assert (x.grad, w.grad.tolist()) == (None, [[2.0] * 3] * 4)


@pytest.mark.cpu_only("the GPU's kernel sums in float")
def test_the_sum_over_many_rows_is_accurate():
    rows = mg.full((100_000, 11), 0.1)
    bias = mg.zeros(11, requires_grad=True)
    F.linear(rows, mg.eye(11), bias).backward(rows)
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
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5, 16, 17, 40])
@pytest.mark.parametrize(("k", "n"), [(4, 5), (0, 3), (67, 33), (300, 260)])
def test_halves_are_summed_in_float_and_rounded_once(rows, k, n, dtype):
    """To half a unit in the last place of what float64 gives, and what float32 sums add to that."""
    rng = np.random.default_rng(rows)
    x, w, b = (mg.from_numpy(rng.standard_normal(s)).to(dtype) for s in ((rows, k), (n, k), (n,)))
    xs, ws, bs = (t.numpy().astype(np.float64) for t in (x, w, b))
    half_a_unit = {mg.float16: 2.0**-11, mg.bfloat16: 2.0**-8}[dtype]
    for found, exact in ((F.linear(x, w, b), xs @ ws.T + bs), (F.linear(x, w), xs @ ws.T)):
        assert found.dtype == dtype
        np.testing.assert_allclose(found.numpy().astype(np.float64), exact, rtol=1.01 * half_a_unit, atol=1e-4)
