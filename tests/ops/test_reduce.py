"""Reductions: sum, mean, prod and sum_to_size."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernel import KERNELS
from minigrad.testing import check_kernel
from tests.ops.harness import Case, check
from tests.ops.inputs import ONE

# every pattern of reduced dimensions (none, first, last, inner, apart, all), then sizes with tails and threads
SHAPES = [((3, 4, 5),), ((2, 7, 2),), ((33, 17, 3),), ((515, 130, 7),)]
DIMS = [None, 0, 1, -1, (0, 1), (1, 2), (0, 2), (2, 0, 1)]


def axes(dim):
    return tuple(range(3)) if dim in (None, ()) else dim


def rows(name, numpy, kernels, dims=DIMS, **options):
    """One row for each pattern of dimensions, with and without keepdim."""
    return [
        Case(
            f"{name}({dim}, {keepdim})",
            lambda x, dim=dim, keepdim=keepdim: getattr(x, name)(dim, keepdim=keepdim),
            SHAPES,
            numpy=lambda x, dim=dim, keepdim=keepdim: numpy(x, axes(dim), keepdim),
            torch=lambda torch, x, dim=dim, keepdim=keepdim: getattr(torch, name)(x, dim, keepdim=keepdim),
            kernels=kernels,
            **options,
        )
        for dim, keepdim in ((d, d in (1, (0, 2))) for d in dims)
    ]


def prod(x, axis, keepdim):
    return x.prod(axis, keepdims=keepdim)


CASES = [
    *rows("sum", lambda x, axis, keepdim: x.sum(axis, keepdims=keepdim), ("sum_forward",), [*DIMS, ()], values=(-1, 2)),
    *rows("mean", lambda x, axis, keepdim: x.mean(axis, keepdims=keepdim), ("mean_forward",)),
    *rows("prod", prod, ("prod_forward", "prod_backward"), [0, 1, -1], values=(0.9, 1.1), rtol=1e-4),
    Case("prod", lambda x: x.prod(), [((2, 3),), ((),), ((0,),)], numpy=np.prod, torch=lambda torch, x: x.prod()),
    Case("sum of any shape", lambda x: x.sum(), [((),), ((0,),), ((2, 0, 3),), ((1,),)], drawn=ONE, numpy=np.sum),
    Case("sum over nothing", lambda x: x.sum(1), [((2, 0, 3),)], numpy=lambda x: x.sum(1)),
    Case(
        "sum_to_size",
        lambda x: x.sum_to_size(3, 1),
        [((2, 3, 4),), ((3, 4),), ((3, 1),)],
        numpy=lambda x: x.reshape(-1, 3, x.shape[-1]).sum((0, 2))[:, None],
        torch=lambda torch, x: x.sum_to_size(3, 1),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_gradient_of_prod_with_zeros(zeros):
    torch = pytest.importorskip("torch")
    values = np.array([2.0, 3.0, -1.0, 4.0])
    values[:zeros] = 0
    x, y = mg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    x.prod().backward()
    y.prod().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy())


@pytest.mark.parametrize("shape", [(5, 70, 1), (2, 9, 35), (0, 3, 2), (2, 0, 3), (3, 1, 1)])
@pytest.mark.parametrize("filling", [0.0, 1e-30, 1e30, np.nan])
def test_gradient_kernel_of_prod_where_nothing_can_be_divided(shape, filling):
    if KERNELS["prod_backward"].native() is KERNELS["prod_backward"].reference:
        pytest.skip("the C++ extension is missing")
    rng = np.random.default_rng(0)
    x, dy = rng.uniform(0.8, 1.2, shape).astype(np.float32), rng.standard_normal(shape[::2]).astype(np.float32)
    for places in (slice(0, 1), slice(0, 2), slice(None)):
        x[:1, places, :3] = filling
        check_kernel("prod_backward", np.empty(shape, np.float32), dy, x)


@pytest.mark.parametrize("dtype", [mg.bool, mg.uint8, mg.int8, mg.int32, mg.int64])
def test_integers_are_summed_as_int64(dtype):
    x = mg.tensor([[1, 1], [1, 0]], dtype=dtype)
    assert x.sum().dtype is x.prod().dtype is x.sum(0).dtype is mg.int64
    assert (x.sum().item(), x.sum(0).tolist(), x.prod(1).tolist()) == (3, [2, 1], [1, 0])
    assert mg.full((300,), 1, dtype=dtype).sum().item() == 300


def test_dtype_of_the_sum():
    x = mg.tensor([1.5, 2.5])
    assert x.sum(dtype=mg.float64).dtype is mg.float64
    assert x.sum(dtype=mg.int64).item() == 3
    assert mg.tensor([1, 2]).mean(dtype=mg.float32).item() == 1.5


def test_long_sums_keep_their_digits():
    """A running float32 sum of 0.1 would be off in the fourth digit."""
    x = mg.full((1_000_003,), 0.1)
    assert x.sum().item() == pytest.approx(100000.3, rel=1e-6)
    assert x.mean().item() == pytest.approx(0.1, rel=1e-6)


def test_sums_over_nothing():
    x = mg.ones(0, 3)
    assert (x.sum().item(), x.sum(0).tolist(), x.sum(1).shape, x.prod().item()) == (0, [0] * 3, (0,), 1)
    assert math.isnan(x.mean().item())
    assert x.mean(0).isnan().all()


WRONG = [
    (lambda x: x.sum(2), IndexError, r"\[sum\] dim 2 out of range for 2 dimensions, expected -2 to 1"),
    (lambda x: x.sum((0, -2)), RuntimeError, r"\[sum\] a dimension appears twice in \(0, -2\)"),
    (lambda x: x.mean(-3), IndexError, r"\[mean\] dim -3 out of range"),
    (lambda x: x.sum(1.0), TypeError, r"\[sum\] dim must be an int, found float"),
    (lambda x: x.long().mean(), RuntimeError, r"\[mean\] the result must be floating, found dtype int64"),
    (lambda x: x.logsumexp(5), IndexError, r"\[logsumexp\] dim 5 out of range"),
    (lambda x: x.sum_to_size(4), RuntimeError, r"\[sum_to_size\] size \(4,\) does not broadcast to shape \(2, 3\)"),
    (lambda x: mg.sum([1, 2]), TypeError, r"\[sum\] input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.ones(2, 3))
