"""floor_divide, remainder and division with a rounding mode."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.kernel import KERNELS
from tests.ops.harness import Case, check
from tests.ops.inputs import BINARY

CASES = [
    Case("floor_divide", mg.floor_divide, BINARY, numpy=np.floor_divide, values=(0.3, 9), twice=False,
         kernels=("floor_divide_forward",), ulps=2),
    Case("remainder", lambda a, b: mg.remainder(a, b), BINARY, numpy=np.remainder, values=(0.3, 9),
         torch=lambda t, a, b: t.remainder(a, b), kernels=("remainder_forward",), ulps=8, twice=False),
    Case("div floor", lambda a, b: a.div(b, rounding_mode="floor"), BINARY, values=(0.3, 9), twice=False,
         torch=lambda t, a, b: a.div(b, rounding_mode="floor"), ulps=2),
    Case("div trunc", lambda a, b: a.div(b, rounding_mode="trunc"), BINARY, values=(0.3, 9), twice=False,
         torch=lambda t, a, b: a.div(b, rounding_mode="trunc"), kernels=("trunc_divide_forward",), ulps=2),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


VALUES = [-7, -6, -1, 0, 1, 6, 7, 2**60 + 1]


@pytest.mark.parametrize("other", [-3, -2, 2, 3, 7])
@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_integers_are_python_s(mode, other):
    expected = [
        v // other if mode == "floor" else int(abs(v) // abs(other)) * (1 if v * other >= 0 else -1) for v in VALUES
    ]
    found = mg.tensor(VALUES).div(other, rounding_mode=mode)
    assert (found.dtype, found.tolist()) == (mg.int64, expected)
    assert (mg.tensor(VALUES) % other).tolist() == [v % other for v in VALUES]
    assert (mg.tensor(VALUES) // mg.tensor(other)).tolist() == [v // other for v in VALUES]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_remainder_has_the_sign_of_the_divisor(signs):
    a, b = mg.tensor([5.5 * signs[0]]), mg.tensor([3.0 * signs[1]])
    assert (a % b).item() == 5.5 * signs[0] % (3.0 * signs[1])
    assert (a // b).item() == 5.5 * signs[0] // (3.0 * signs[1])


@pytest.mark.parametrize("divide", [mg.floor_divide, mg.remainder, lambda a, b: mg.div(a, b, rounding_mode="trunc")])
def test_integer_division_by_zero(divide):
    for zero in (0, mg.tensor([1, 0]), mg.tensor(0)):
        with pytest.raises(RuntimeError, match="an integer division by zero has no result"):
            divide(mg.tensor([1, 2]), zero)
    assert not divide(mg.tensor([1.0, 2.0]), 0).isfinite().any()


SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 0.1, -0.3, 7e6, 1e20, -1e20, np.inf, -np.inf, np.nan]


@pytest.mark.skipif(not cpu.kernels(), reason="the extension is not here")
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "trunc_divide"])
def test_kernels_agree_bit_for_bit(name):
    """On all pairs of special values, and on quotients close to whole numbers."""
    a, b = (np.ravel(x).astype(np.float32) for x in np.meshgrid(SPECIAL, SPECIAL))
    rng = np.random.default_rng(0)
    divisors = rng.uniform(-9, 9, 5000).astype(np.float32)
    multiples = np.nextafter(divisors * rng.integers(-999, 999, 5000).astype(np.float32), rng.choice([-9e9, 9e9], 5000))
    kernel, body = KERNELS[f"{name}_forward"], cpu.kernels()[f"{name}_forward"]
    for x, y in ((a, b), (multiples.astype(np.float32), divisors)):
        expected, found = np.empty_like(x), np.empty_like(x)
        kernel.reference(expected, x, y)
        body(found, x, y)
        wrong = (expected.view(np.int32) != found.view(np.int32)) & ~(np.isnan(expected) & np.isnan(found))
        assert not wrong.any(), (x[wrong][:5], y[wrong][:5], expected[wrong][:5], found[wrong][:5])
