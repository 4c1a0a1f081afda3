"""Elementwise ops of two tensors: arithmetic, maximum and minimum, comparisons."""

import itertools
import operator

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check
from tests.ops.inputs import BINARY, TWO, UNARY


def row(name, function, numpy, torch=None, shapes=BINARY, drawn=TWO, **options):
    kernels = options.pop("kernels", (f"{name}_forward",))
    torch = torch or (lambda torch, *args: getattr(torch, name)(*args))
    return Case(name, function, shapes, drawn=drawn, numpy=numpy, torch=torch, kernels=kernels, **options)


def one(name, function, numpy, torch, **options):
    """A row with a Python number for the other operand."""
    return row(name, function, numpy, torch, shapes=UNARY, drawn=None, **options)


POSITIVE = (0.3, 3)
CASES = [
    row("add", mg.add, np.add),
    row("sub", mg.sub, np.subtract),
    row("mul", mg.mul, np.multiply),
    row("div", mg.div, np.divide, values=POSITIVE),
    row("pow", mg.pow, np.power, values=POSITIVE, rtol=1e-5),
    row("maximum", mg.maximum, np.maximum),
    row("minimum", mg.minimum, np.minimum),
    row(
        "add",
        lambda a, b: mg.add(a, b, alpha=2.5),
        lambda a, b: a + 2.5 * b,
        lambda t, a, b: t.add(a, b, alpha=2.5),
        ulps=2,
    ),
    row("sub", lambda a, b: a.sub(b, alpha=-2), lambda a, b: a + 2 * b, lambda t, a, b: t.sub(a, b, alpha=-2), ulps=2),
    one("add", lambda x: x + 1.5, lambda x: x + 1.5, lambda t, x: x + 1.5),
    one("sub", lambda x: 2 - x, lambda x: 2 - x, lambda t, x: 2 - x),
    one("mul", lambda x: 3 * x, lambda x: 3 * x, lambda t, x: 3 * x),
    one("mul", lambda x: x * True, lambda x: x, lambda t, x: x * True),
    one("div", lambda x: x / 7, lambda x: x / 7, lambda t, x: x / 7),
    one("div", lambda x: 7 / x, lambda x: 7 / x, lambda t, x: 7 / x, values=POSITIVE),
    one("pow", lambda x: 2**x, lambda x: 2**x, lambda t, x: 2**x, rtol=1e-5),
    one("mul", lambda x: x * x, lambda x: x * x, lambda t, x: x * x),
]
CASES += [
    row(name, getattr(mg, name), numpy, differentiable=False)
    for name, numpy in {
        "eq": np.equal, "ne": np.not_equal, "gt": np.greater,
        "lt": np.less, "ge": np.greater_equal, "le": np.less_equal,
    }.items()
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


OPERATORS = ["add", "sub", "mul", "truediv", "pow", "eq", "ne", "gt", "lt", "ge", "le", "floordiv", "mod"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("number", [3, 2.5, np.float32(2), np.array([1.0, 2.0])])
def test_operators_on_both_sides(name, number):
    function, x = getattr(operator, name), np.array([1.5, 2.5])
    np.testing.assert_allclose(function(mg.tensor(x), number).numpy(), function(x, number), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(function(number, mg.tensor(x))), function(number, x), rtol=1e-12)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "matmul", "and", "or", "xor", "mod"])
def test_operators_leave_strangers_to_the_other_side(name):
    class Stranger:
        pass

    setattr(Stranger, f"__r{name}__", lambda self, other: "mine")
    function = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    assert function(mg.ones(2), Stranger()) == "mine"
    with pytest.raises(TypeError):
        function(mg.ones(2), "a text")


def test_equality_with_strangers_is_identity():
    x = mg.ones(2)
    assert (x == None, x != None, x == "a") == (False, True, False)  # noqa: E711
    assert len({x, x, mg.ones(2)}) == 2


def test_ties_of_maximum_and_minimum_share_the_gradient():
    for name in ("maximum", "minimum"):
        a, b = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([1.0, 2.0], requires_grad=True)
        getattr(mg, name)(a, b).sum().backward()
        assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]


EDGES = list(itertools.product([0.0, 1.0, 2.0], [0.0, 1.0, -1.0, 0.5, 2.0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_at_their_edges_are_those_of_pytorch(dtype):
    torch = pytest.importorskip("torch")
    results = []
    for lib in (mg, torch):
        a, b = (lib.tensor(v, dtype=getattr(lib, dtype), requires_grad=True) for v in zip(*EDGES, strict=True))
        (a**b).sum().backward()
        results.append([a.grad.numpy(), b.grad.numpy()])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_division_of_integers():
    seven, two = mg.tensor([7, -7]), mg.tensor([2, 2])
    assert (seven / two).dtype is mg.float32
    assert (seven / two).tolist() == [3.5, -3.5]
    assert seven.div(two, rounding_mode="floor").tolist() == [3, -4]
    assert seven.div(two, rounding_mode="trunc").tolist() == [3, -3]
    assert mg.tensor([7.0, -7.0]).div(2.0, rounding_mode="trunc").tolist() == [3.0, -3.0]
    with pytest.raises(RuntimeError, match=r"\[div\] rounding_mode must be None, 'floor' or 'trunc', found 'up'"):
        seven.div(two, rounding_mode="up")


def test_integer_powers():
    assert (mg.tensor([2, 3]) ** 3).tolist() == [8, 27]
    assert (mg.tensor([2, 3]) ** mg.tensor([3, 0])).tolist() == [8, 1]
    assert (mg.tensor([4, 9]) ** 0.5).tolist() == [2.0, 3.0]
    with pytest.raises(RuntimeError, match=r"\[pow\] integers to a negative integer power"):
        mg.tensor([2]) ** -1


def test_numbers_beyond_a_small_integer_dtype_wrap():
    image = mg.tensor([0, 1, 200], dtype=mg.uint8)
    assert (image * -1).tolist() == [0, 255, 56]
    assert (image + 300).tolist() == [44, 45, 244]
    assert (image > 300).tolist() == [False] * 3
    assert (image > -1).tolist() == [True] * 3


def test_shapes_that_do_not_broadcast():
    with pytest.raises(RuntimeError, match=r"\[mul\] shapes \(2,\) and \(3,\) do not broadcast"):
        mg.ones(2) * mg.ones(3)
    with pytest.raises(RuntimeError, match=r"\[add_\] the result has shape \(2, 3\), which does not fit in place"):
        mg.ones(3).add_(mg.ones(2, 3))


def test_operands_must_be_numbers():
    with pytest.raises(TypeError, match=r"\[add\] operands must be Tensors or numbers, found str"):
        mg.add(mg.ones(2), "a")


def test_bools():
    a, b = mg.tensor([True, True, False]), mg.tensor([True, False, False])
    assert (a + b).tolist() == [True, True, False]
    assert (a * b).tolist() == [True, False, False]
    with pytest.raises(RuntimeError, match=r"\[sub\] .*bool"):
        a - b


def test_comparisons_track_no_gradient():
    x = mg.ones(2, requires_grad=True)
    for compare in (mg.eq, mg.ne, mg.gt, mg.lt, mg.ge, mg.le):
        y = compare(x, 0.5)
        assert (y.dtype, y.requires_grad, y.is_leaf) == (mg.bool, False, True)
