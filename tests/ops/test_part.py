"""select, narrow, split, chunk and unbind: views of parts."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

SHAPES = [((4, 5, 3),), ((4, 9, 130),)]
SPLITS = [(2, 0), (3, 1), (5, 1), (9, -1), ([1, 3], 0), ([0, 4, 0], 0)]


def bounds(n, size):
    return list(range(size, n, size)) if isinstance(size, int) else list(np.cumsum(size)[:-1])


CASES = [
    *[
        Case(
            f"split({size}, {dim})",
            lambda x, size=size, dim=dim: mg.split(x, size, dim),
            SHAPES,
            numpy=lambda x, size=size, dim=dim: np.split(x, bounds(x.shape[dim], size), dim),
            torch=lambda torch, x, size=size, dim=dim: torch.split(x, size, dim),
            twice=False,
        )
        for size, dim in SPLITS
    ],
    *[
        Case(
            f"chunk({chunks})",
            lambda x, chunks=chunks: mg.chunk(x, chunks, 1),
            [*SHAPES, ((2, 0),)],
            torch=lambda torch, x, chunks=chunks: torch.chunk(x, chunks, 1),
            twice=False,
        )
        for chunks in (1, 2, 3, 7)
    ],
    *[
        Case(
            f"unbind({dim})",
            lambda x, dim=dim: mg.unbind(x, dim),
            [((4, 5, 3),), ((33, 4, 17),)],
            numpy=lambda x, dim=dim: list(np.moveaxis(x, dim, 0)),
            torch=lambda torch, x, dim=dim: torch.unbind(x, dim),
            twice=False,
        )
        for dim in (0, 1, -1)
    ],
    Case("select", lambda x: x.select(1, -2), SHAPES, numpy=lambda x: x[:, -2], twice=False),
    Case("narrow", lambda x: x.narrow(1, -3, 2), SHAPES, numpy=lambda x: x[:, -3:][:, :2], twice=False),
    Case("one part only", lambda x: x.split(2)[1], SHAPES, numpy=lambda x: x[2:4], twice=False),
    Case("parts together", lambda x: x.chunk(2, 0)[0] * x.chunk(2, 0)[1], SHAPES, numpy=lambda x: x[:2] * x[2:]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("take", [lambda x: x.split(2)[0], lambda x: x.chunk(2)[0], lambda x: x.narrow(0, 0, 2)])
def test_parts_share_memory_and_history(take):
    a = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = a * 2
    part = take(x)
    part.mul_(mg.tensor([10.0, 100.0]))
    assert x.tolist() == [20.0, 400.0, 6.0]
    (x * x).sum().backward()
    assert a.grad.tolist() == [800.0, 160000.0, 24.0]


def test_iteration_gives_views_with_one_gradient():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]] and first.grad_fn is second.grad_fn
    assert list(mg.zeros(0, 2)) == []
    with pytest.raises(TypeError, match="0-dim"):
        iter(mg.tensor(1.0))


def test_parts_of_an_empty_tensor():
    assert mg.zeros(0, 2).unbind() == () and mg.zeros(0, 2).split(3)[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: x.split(0), RuntimeError, "a part of size 0 is not possible"),
        (lambda x: x.split([1, 1]), RuntimeError, r"sizes \[1, 1\] do not add up to 3, the size of dim 0"),
        (lambda x: x.split([-1, 4]), RuntimeError, "do not add up"),
        (lambda x: x.split(1, 2), IndexError, "dim 2 out of range"),
        (lambda x: x.chunk(0), RuntimeError, "found 0 chunks"),
        (lambda x: x[0, 0].unbind(), IndexError, "a 0-dim tensor has no parts"),
        (lambda x: x.select(1, 4), IndexError, "index 4 out of range for dim 1 of size 4"),
        (lambda x: x.narrow(1, 3, 2), RuntimeError, "start 3 and length 2 do not fit dim 1 of size 4"),
        (lambda x: x.narrow(1, 5, 0), IndexError, "start 5 out of range"),
    ],
)
def test_errors(function, error, message):
    with pytest.raises(error, match=message):
        function(mg.zeros(3, 4))
