"""max, min, amax, amin, argmax, argmin."""

import math

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

SHAPES = [((3, 4, 5),), ((1, 7, 2),), ((33, 17, 3),), ((515, 130, 7),)]


def along(name, arg, dim):
    def numpy(x):
        return getattr(x, name)(dim), getattr(x, arg)(dim)

    return Case(
        f"{name} along {dim}",
        lambda x: getattr(x, name)(dim),
        SHAPES,
        numpy=numpy,
        torch=lambda torch, x: getattr(torch, name)(x, dim),
        kernels=(f"{name}_forward",),
        twice=True,
    )


def shared(name, dim, keepdim):
    return Case(
        f"a{name} over {dim}",
        lambda x: getattr(x, f"a{name}")(dim, keepdim),
        SHAPES,
        numpy=lambda x: getattr(x, name)(dim if dim != () else None, keepdims=keepdim),
        torch=lambda torch, x: getattr(torch, f"a{name}")(x, dim, keepdim),
        kernels=(f"{name}_forward",),
    )


def arg(name, dim, keepdim):
    return Case(
        f"{name} along {dim}",
        lambda x: getattr(x, name)(dim, keepdim),
        SHAPES,
        numpy=lambda x: getattr(x, name)(dim, keepdims=keepdim),
        torch=lambda torch, x: getattr(torch, name)(x, dim, keepdim),
        kernels=(f"{name[3:]}_forward",),
        differentiable=False,
    )


CASES = [along(name, f"arg{name}", dim) for name in ("max", "min") for dim in (0, 1, -1)]
CASES += [shared(name, dim, k) for name in ("max", "min") for dim, k in [((), False), (1, True), ((0, 2), False)]]
CASES += [arg(name, dim, k) for name in ("argmax", "argmin") for dim, k in [(None, False), (0, True), (-1, False)]]
CASES += [
    Case(
        name,
        lambda x, name=name: getattr(mg, name)(x),
        [((3, 4),), ((),), ((1,),), ((200_003,),)],
        numpy=getattr(np, name),
        torch=lambda torch, x, name=name: getattr(torch, name)(x),
        kernels=(f"{name}_forward",),
    )
    for name in ("max", "min")
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["max", "min"])
def test_ties(name, dtype):
    """Along a dimension the first place takes the gradient; over everything equal elements share it."""
    x = mg.tensor([2.0, 5.0, 5.0, 2.0], dtype=dtype, requires_grad=True)
    first, both = {"max": ([0, 1, 0, 0], [0, 0.5, 0.5, 0]), "min": ([1, 0, 0, 0], [0.5, 0, 0, 0.5])}[name]
    values, indices = getattr(x, name)(0)
    assert indices.item() == first.index(1)
    assert mg.autograd.grad(values, x)[0].tolist() == first
    for whole in (getattr(x, name)(), getattr(x, f"a{name}")(), getattr(x, f"a{name}")(0)):
        assert mg.autograd.grad(whole, x)[0].tolist() == both


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64, mg.float16, mg.bfloat16])
def test_nan_wins(dtype):
    x = mg.tensor([1.0, math.nan, 3.0, math.nan], dtype=dtype)
    for name in ("max", "min"):
        values, indices = getattr(x, name)(0)
        assert math.isnan(values.item())
        assert indices.item() == getattr(x, f"arg{name}")().item() == 1
        assert math.isnan(getattr(x, name)().item())
        assert math.isnan(getattr(mg, f"{name}imum")(x, mg.ones(4, dtype=dtype))[1].item())


@pytest.mark.parametrize("dtype", [mg.bool, mg.uint8, mg.int16, mg.int64])
def test_integers(dtype):
    x = mg.tensor([[1, 0], [0, 1]], dtype=dtype)
    assert (x.max().item(), x.min().item(), x.max().dtype) == (1, 0, dtype)
    assert (x.max(1).values.dtype, x.max(1).indices.tolist()) == (dtype, [0, 1])
    assert x.argmin(0).tolist() == [1, 0]


def test_names_of_the_results():
    result = mg.tensor([[1.0, 3.0], [4.0, 2.0]]).max(1, keepdim=True)
    assert result.values.tolist() == [[3.0], [4.0]]
    assert result.indices.tolist() == [[1], [0]]
    assert not result.indices.requires_grad


def test_two_tensors_mean_maximum():
    assert mg.max(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 4.0])).tolist() == [3.0, 5.0]
    assert mg.min(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 4.0])).tolist() == [1.0, 4.0]


def test_indices_of_a_tracked_tensor_are_not_tracked():
    x = mg.rand(3, 4).requires_grad_()
    values, indices = x.max(1)
    assert (values.requires_grad, indices.requires_grad, indices.is_leaf) == (True, False, True)
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        mg.autograd.grad(values.sum(), indices)


WRONG = [
    (
        lambda: mg.ones(0).max(),
        RuntimeError,
        r"\[max\] an extremum over no elements is not defined, found shape \(0,\)",
    ),
    (lambda: mg.ones(2, 0).min(1), RuntimeError, r"\[min\] an extremum over no elements"),
    (lambda: mg.ones(2, 0).argmax(1), RuntimeError, r"\[argmax\] an extremum over no elements"),
    (lambda: mg.ones(0).argmin(), RuntimeError, r"\[argmin\] an extremum over no elements"),
    (lambda: mg.ones(2, 0).amax(1), RuntimeError, r"\[amax\] an extremum over no elements"),
    (lambda: mg.ones(2).max(1), IndexError, r"\[max\] dim 1 out of range for 1 dimensions"),
    (lambda: mg.argmax([1]), TypeError, r"\[argmax\] input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_empty_results_are_fine():
    assert mg.ones(0, 3).max(1).values.shape == (0,)
    assert mg.ones(0, 3).argmax(1).shape == (0,)
