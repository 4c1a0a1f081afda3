"""softmax and log_softmax, along any dimension."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import TIERS, Case, check
from tests.ops.inputs import ONE

# rows of 1, of fewer and of more elements than fit into lanes, of several blocks; short rows and long; sizes 0
SHAPES = [((5, 4, 3),), ((),), ((1,),), ((0,),), ((3, 0),), ((0, 3),), ((17, 10),), ((2, 64),), ((3, 65),), ((2, 129),)]
SHAPES += [((3, 33),), ((1, 2049),), ((2, 50257),), ((20011, 10),), ((301, 700),)]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf)) if x.ndim else np.ones(())
    return e / e.sum(axis, keepdims=True) if x.ndim else e


def log_softmax(x, axis=-1):
    return np.log(softmax(x, axis))


def row(name, numpy, **options):
    kernels = (f"{name}_forward", f"{name}_backward")
    function, torch = lambda x: getattr(mg, name)(x, -1), lambda torch, x: getattr(torch, name)(x, -1)
    return Case(name, function, SHAPES, drawn=ONE, numpy=numpy, torch=torch, kernels=kernels, **options)


def along(name, numpy, dim, shape):
    return Case(
        f"{name} along {dim} of {shape}",
        lambda x: getattr(x, name)(dim),
        [(shape,)],
        numpy=lambda x: numpy(x, dim),
        torch=lambda torch, x: getattr(torch, name)(x, dim),
        kernels=(f"{name}_forward", f"{name}_backward"),
    )


CASES = [row("softmax", softmax), row("log_softmax", log_softmax, atol=4e-6)]
CASES += [
    along(name, numpy, dim, shape)
    for name, numpy in (("softmax", softmax), ("log_softmax", log_softmax))
    for dim, shape in ((0, (4, 3)), (1, (2, 5, 3)), (-3, (2, 5, 3)), (1, (3, 140, 37)), (0, (1, 9)), (1, (2, 0, 3)))
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@TIERS
@pytest.mark.parametrize("cols", [4, 100])
def test_rows_without_a_number(cols, tier):
    x = np.zeros((4, cols), np.float32)
    x[0], x[1, 0], x[2, -1], x[3, 0] = -np.inf, np.nan, np.inf, -np.inf
    with mg.tier(tier):
        y, logs = mg.softmax(mg.tensor(x), -1).numpy(), mg.log_softmax(mg.tensor(x), -1).numpy()
    assert np.isnan(y[:3]).all() and np.isnan(logs[:3]).all()
    np.testing.assert_allclose(y[3], [0] + [1 / (cols - 1)] * (cols - 1), rtol=1e-6)
    assert logs[3, 0] == -np.inf


@pytest.mark.parametrize("shift", [-1e4, 1e4, 3e38])
def test_nothing_overflows(shift):
    x = np.array([[0, 1, 2, 3]], np.float32) + np.float32(shift)
    np.testing.assert_allclose(mg.softmax(mg.tensor(x), -1).numpy(), softmax(x.astype(np.float64)), rtol=1e-6)


def test_dtype_is_converted_first():
    x = mg.tensor([1, 2, 3])
    assert mg.softmax(x, 0).dtype is mg.float32
    assert mg.log_softmax(x, 0, dtype=mg.float64).dtype is mg.float64


ERRORS = [
    (lambda x: mg.softmax(x), TypeError, r"\[softmax\] dim is missing"),
    (lambda x: mg.softmax(x, 2), IndexError, r"\[softmax\] dim 2 out of range for 2 dimensions"),
    (lambda x: mg.log_softmax(x, -3), IndexError, r"\[log_softmax\] dim -3 out of range"),
    (lambda x: mg.softmax([1.0], 0), TypeError, r"\[softmax\] input must be a Tensor, found list"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.ones(2, 3))
