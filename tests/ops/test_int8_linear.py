"""int8_linear, and the layer that is made of a Linear."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.ops.int8_linear import int8_linear
from tests.ops.harness import Case, check


def weight(*shape):
    return lambda rng: rng.integers(-127, 128, shape).astype(np.int8)


# input, weight, scale, bias: vectors, batches, empty sizes, few rows and many, odd widths; the last two engage threads
SIZES = [((3,), 37, 5), ((), 4, 5), ((2, 3), 40, 6), ((0,), 4, 5), ((1,), 1, 1), ((3,), 0, 5), ((2,), 3, 0)]
SIZES += [((4,), 131, 66), ((7,), 70, 9), ((17,), 33, 21), ((5,), 300, 700), ((40,), 301, 700)]
SHAPES = [((*lead, k), weight(n, k), (n,), (n,)) for lead, k, n in SIZES]

CASES = [
    Case(
        "int8_linear",
        int8_linear,
        SHAPES,
        numpy=lambda x, w, s, b: (x @ w.astype(float).T) * s + b,
        kernels=("int8_linear_forward",),
        torch=lambda t, x, w, s, b: t.nn.functional.linear(x, w.to(x.dtype)) * s + b,
        rtol=1e-5,
        values=(-1.0, 1.0),
        ulps=2,
    ),
    Case(
        "int8_linear without bias",
        lambda x, w, s: int8_linear(x, w, s),
        [s[:3] for s in SHAPES],
        numpy=lambda x, w, s: (x @ w.astype(float).T) * s,
        rtol=1e-5,
        values=(-1.0, 1.0),
        ulps=2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_the_layer_is_the_linear_one_rounded_to_a_127th_of_each_row():
    mg.manual_seed(0)
    linear, x = nn.Linear(64, 32), mg.randn(5, 64)
    layer = nn.Int8Linear.from_linear(linear)
    assert layer.weight.dtype == mg.int8 and layer.weight.abs().max(1)[0].tolist() == [127] * 32
    step = linear.weight.detach().abs().max(1)[0] / 127
    restored = layer.weight.to(mg.float32) * layer.scale.reshape(32, 1)
    assert ((restored - linear.weight).abs() <= 0.501 * step.reshape(32, 1)).all()
    bound = 0.51 * step * x.abs().sum(1).reshape(5, 1) + 1e-5
    assert ((layer(x) - linear(x)).abs() <= bound).all()


def test_the_layer_saves_and_loads_and_takes_rows_of_zeros():
    linear = nn.Linear(3, 2, bias=False)
    mg.nn.init.zeros_(linear.weight)
    layer, other = nn.Int8Linear.from_linear(linear), nn.Int8Linear(3, 2, bias=False)
    other.load_state_dict(layer.state_dict())
    assert other(mg.ones(4, 3)).tolist() == [[0.0, 0.0]] * 4
    assert sorted(layer.state_dict()) == ["scale", "weight"] and not list(layer.parameters())
    assert "in_features=3, out_features=2, bias=False" in repr(layer)


X, W, S = mg.ones(2, 3), mg.zeros(4, 3, dtype=mg.int8), mg.ones(4)
WRONG = [
    (
        lambda: int8_linear(X, mg.ones(4, 3), S),
        r"\[int8_linear\] found input float32, weight float32, scale float32, e",
    ),
    (lambda: int8_linear(X, mg.zeros(4, 2, dtype=mg.int8), S), r"input \(2, 3\) and weight \(4, 2\) cannot"),
    (lambda: int8_linear(X, W, X), r"\[int8_linear\] scale has shape \(2, 3\), expected \(4,\)"),
    (lambda: int8_linear(X, W, S, mg.ones(3)), r"\[int8_linear\] bias has shape \(3,\), expected \(4,\)"),
    (lambda: int8_linear(X, W, S.to(mg.float64)), r"scale float64, expected a floating input, int8, float32"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match=r"\[int8_linear\] scale must be a Tensor, found NoneType"):
        int8_linear(X, W, None)
