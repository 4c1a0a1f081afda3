"""cumsum and cumprod: running sums and products."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernel import KERNELS
from minigrad.testing import check_kernel, gradcheck, gradgradcheck
from tests.ops.harness import Case, check

SHAPES = [
    ((5, 4, 3),),
    ((1, 7, 1),),
    ((2, 1, 3),),
    ((0, 3, 2),),
    ((2, 0, 3),),
    ((33, 17, 3),),
    ((130, 515, 7),),
    ((3, 2, 200),),
    ((2, 9, 21),),
    ((3, 17, 300),),
]


def rows(name, numpy, **options):
    return [
        Case(
            f"{name}({dim})",
            lambda x, dim=dim: getattr(mg, name)(x, dim),
            SHAPES,
            numpy=lambda x, dim=dim: numpy(x, dim),
            torch=lambda torch, x, dim=dim: getattr(torch, name)(x, dim),
            kernels=(f"{name}_forward", f"{name}_backward"),
            **options,
        )
        for dim in (0, 1, -1)
    ]


def with_zeros(*places):
    def make(rng):
        x = rng.uniform(0.5, 1.5, (4, 5))
        x[tuple(zip(*places, strict=True))] = 0
        return x

    return make


CASES = [
    *rows("cumsum", np.cumsum, values=(-1, 1), twice=False, rtol=1e-5, atol=1e-5),
    *rows("cumprod", np.cumprod, values=(0.95, 1.05), rtol=1e-4, atol=1e-5, ulps=3),
    Case("cumsum of a scalar", lambda x: x.cumsum(0), [((),)], torch=lambda torch, x: x.cumsum(0), twice=False),
    Case("cumprod of a scalar", lambda x: x.cumprod(-1), [((),)], torch=lambda torch, x: x.cumprod(-1), twice=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("places", [[(1, 2)], [(0, 0), (2, 0)], [(0, 1), (3, 1), (3, 4)], [(i, 0) for i in range(4)]])
@pytest.mark.parametrize("dim", [0, 1])
def test_zeros_do_no_harm(places, dim):
    x = mg.tensor(with_zeros(*places)(np.random.default_rng(0)), requires_grad=True)
    gradcheck(lambda x: x.cumprod(dim), x, full=True)
    gradgradcheck(lambda x: x.cumprod(dim), x, full=True)


def test_third_derivative():
    x = mg.tensor([0.5, 0.0, 2.0, 3.0], dtype=mg.float64, requires_grad=True)

    def gradient(x):
        with mg.enable_grad():
            return mg.autograd.grad(x.cumprod(0).sum(), x, create_graph=True)[0]

    def second(x):
        with mg.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            return mg.autograd.grad((gradient(x) * x).sum(), x, create_graph=True)[0]

    gradcheck(second, x, full=True)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (1, 1, 1), (3, 7, 1), (21, 50, 1), (2, 5, 65), (3, 300, 130)])
@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("cumsum_forward", 1),
        ("cumprod_forward", 1),
        ("recurrence_forward", 2),
        ("cumsum_backward", 1),
        ("cumprod_backward", 3),
    ],
)
def test_kernels(name, inputs, shape):
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1.1, 1.1, shape).astype(np.float32) for _ in range(inputs)]
    if KERNELS[name].native() is KERNELS[name].reference:
        pytest.skip("the C++ extension is missing")
    check_kernel(name, np.empty(shape, np.float32), *arrays)


def test_dtypes():
    counts = mg.tensor([1, 2, 3], dtype=mg.int32)
    assert counts.cumsum(0).dtype is mg.int64 and mg.tensor([True, True]).cumsum(0).tolist() == [1, 2]
    assert counts.cumprod(0, dtype=mg.float32).dtype is mg.float32 and counts.cumprod(0).tolist() == [1, 2, 6]


def test_in_place():
    a = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = a * 1
    assert x.cumsum_(0) is x and x.tolist() == [1.0, 3.0, 6.0]
    x.cumprod_(0).sum().backward()
    assert a.grad.tolist() == [32.0, 10.0, 3.0]


@pytest.mark.parametrize("op", [mg.cumsum, mg.cumprod])
def test_errors(op):
    with pytest.raises(IndexError, match="dim 2 out of range for 2 dimensions"):
        op(mg.zeros(2, 3), 2)
    with pytest.raises(TypeError, match="must be a Tensor, found list"):
        op([1.0], 0)
