"""cat, stack and flip."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

CAT = {
    0: [((2, 3), (4, 3), (1, 3)), ((0, 3), (2, 3), (2, 3)), ((1,), (0,), (3,)), ((300, 33), (211, 33), (1, 33))],
    1: [((2, 1, 3), (2, 4, 3), (2, 0, 3)), ((1, 2), (1, 2), (1, 2))],
    -1: [((2, 3), (2, 1), (2, 2))],
}
STACK = [((2, 3),) * 3, ((1, 0),) * 3, ((300, 130),) * 3]

CASES = [
    *[
        Case(
            f"cat({dim})",
            lambda *xs, dim=dim: mg.cat(xs, dim),
            shapes,
            numpy=lambda *xs, dim=dim: np.concatenate(xs, dim),
            torch=lambda torch, *xs, dim=dim: torch.cat(xs, dim),
            twice=False,
        )
        for dim, shapes in CAT.items()
    ],
    *[
        Case(
            f"stack({dim})",
            lambda *xs, dim=dim: mg.stack(xs, dim),
            STACK,
            numpy=lambda *xs, dim=dim: np.stack(xs, dim),
            torch=lambda torch, *xs, dim=dim: torch.stack(xs, dim),
            twice=False,
        )
        for dim in (0, 1, -1)
    ],
    Case(
        "stack of scalars", lambda a, b: mg.stack([a, b]), [((), ())], numpy=lambda a, b: np.stack([a, b]), twice=False
    ),
    Case(
        "one tensor twice", lambda x: mg.cat([x, x * x, x]), [((2, 3),)], numpy=lambda x: np.concatenate([x, x * x, x])
    ),
    *[
        Case(
            f"flip{dims}",
            lambda x, dims=dims: mg.flip(x, dims),
            [((2, 3, 4),), ((1, 0, 2),), ((33, 65, 130),)],
            numpy=lambda x, dims=dims: np.flip(x, dims),
            torch=lambda torch, x, dims=dims: torch.flip(x, dims),
            twice=False,
        )
        for dims in [(), (0,), (1, -1), (0, 1, 2)]
    ],
    *[
        Case(
            f"roll({shifts}, {dims})",
            lambda x, shifts=shifts, dims=dims: mg.roll(x, shifts, dims),
            [((2, 3, 4),), ((1, 0, 2),), ((33, 65, 130),)],
            numpy=lambda x, shifts=shifts, dims=dims: np.roll(x, shifts, dims),
            torch=lambda torch, x, shifts=shifts, dims=dims: torch.roll(x, shifts, dims),
            twice=False,
        )
        for shifts, dims in [(1, 0), (-5, -1), ((1, 2), (0, 2)), (7, None)]
    ],
    Case("flip of a scalar", lambda x: mg.flip(x, (0,)), [((),)], numpy=lambda x: x, twice=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_dtypes_are_promoted():
    whole, half = mg.tensor([1, 2]), mg.tensor([0.5], dtype=mg.float16)
    assert mg.cat([whole, half]).dtype is mg.float16
    assert mg.stack([whole, mg.tensor([0.5, 0.5], dtype=mg.float64)]).dtype is mg.float64
    assert mg.stack([mg.tensor(1.0), mg.tensor(2.0, dtype=mg.float64)]).dtype is mg.float64
    assert mg.cat([mg.tensor([True]), whole]).tolist() == [1, 1, 2]


def test_empty_vectors_fit_everywhere():
    x = mg.ones(2, 3)
    assert mg.cat([mg.zeros(0), x, mg.zeros(0)], 1).equal(x)
    assert mg.cat([mg.zeros(0), mg.zeros(0)]).shape == (0,)


def test_flip_copies():
    x = mg.arange(3)
    mg.flip(x, 0)[0] = 9
    assert x.tolist() == [0, 1, 2] and x.flip(0).tolist() == x.flip([0]).tolist() == x.flip((-1,)).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda: mg.cat([]), ValueError, r"\[cat\] found no tensors"),
        (lambda: mg.cat(mg.ones(2)), TypeError, r"\[cat\] expected a list or tuple of Tensors, found Tensor"),
        (lambda: mg.cat([mg.ones(2), 3]), TypeError, r"\[cat\] each of the tensors must be a Tensor, found int"),
        (lambda: mg.cat([mg.ones(2, 3), mg.ones(3, 2)]), RuntimeError, r"\(2, 3\) and \(3, 2\) do not fit: .* but 0"),
        (lambda: mg.cat([mg.ones(2, 3), mg.ones(3)]), RuntimeError, r"\(2, 3\) and \(3,\) do not fit"),
        (lambda: mg.cat([mg.tensor(1.0)]), RuntimeError, "use stack"),
        (lambda: mg.cat([mg.ones(2)], 1), IndexError, "dim 1 out of range"),
        (lambda: mg.stack([mg.ones(2), mg.ones(3)]), RuntimeError, r"\[stack\] shapes \(2,\) and \(3,\) differ"),
        (lambda: mg.stack([mg.ones(2)], 2), IndexError, "dim 2 out of range"),
        (lambda: mg.flip(mg.ones(2), 0, 0), RuntimeError, "twice"),
        (lambda: mg.roll(mg.ones(2), (1, 2), 0), RuntimeError, "found 2 shifts for 1 dims"),
        (lambda: mg.flip(mg.ones(2), 1), IndexError, "dim 1 out of range"),
    ],
)
def test_errors(function, error, message):
    with pytest.raises(error, match=message):
        function()
