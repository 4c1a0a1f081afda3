"""gather, scatter, index_select and their kin: elements picked by an index or a mask."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check
from tests.ops.indices import index


def distinct(n, *shape):
    """Along dim 1 no place comes twice: where it did, which value stays is PyTorch's secret."""
    return lambda rng: rng.permuted(np.tile(np.arange(n), (shape[0], 1)), axis=1)[:, : shape[1]]


def mask(*shape):
    return lambda rng: rng.random(shape) < 0.5


def put_along(x, i, v):
    x = x.copy()
    np.put_along_axis(x, i, v, 1)
    return x


GATHER = {
    0: [((4, 5), index(4, 3, 5)), ((4, 5), index(4, 9, 2)), ((4, 5), index(4, 0, 5)), ((600, 40), index(600, 800, 40))],
    1: [((4, 5), index(5, 4, 1)), ((2, 3, 4), index(3, 1, 7, 2))],
    -1: [((7,), index(7, 12)), ((), index(1))],
}

CASES = [
    *[
        Case(
            f"gather({dim})",
            lambda x, i, dim=dim: mg.gather(x, dim, i),
            shapes,
            torch=lambda torch, x, i, dim=dim: torch.gather(x, dim, i),
            twice=False,
        )
        for dim, shapes in GATHER.items()
    ],
    Case(
        "take_along_dim",
        lambda x, i: mg.take_along_dim(x, i, 1),
        [((4, 5, 2), index(5, 1, 3, 2)), ((1, 5), index(5, 3, 2))],
        torch=lambda torch, x, i: torch.take_along_dim(x, i, 1),
        twice=False,
    ),
    Case(
        "take_along_dim of all",
        mg.take_along_dim,
        [((4, 5), index(20, 7))],
        numpy=lambda x, i: x.reshape(-1)[i],
        twice=False,
    ),
    *[
        Case(
            f"index_select({dim})",
            lambda x, i, dim=dim: mg.index_select(x, dim, i),
            [((4, 5, 6), index(4, 7)), ((4, 5, 6), index(4, 0)), ((4, 5, 6), index(4)), ((10, 33, 400), index(10, 50))],
            torch=lambda torch, x, i, dim=dim: torch.index_select(x, dim, i),
            twice=False,
        )
        for dim in (0, 1, -1)
    ],
    Case(
        "index_select of a scalar",
        lambda x, i: x.index_select(0, i),
        [((), index(1, 1))],
        numpy=lambda x, i: x,
        twice=False,
    ),
    Case(
        "scatter",
        lambda x, i, v: mg.scatter(x, 1, i, v),
        [
            ((3, 5), distinct(5, 3, 4), (3, 4)),
            ((3, 5), distinct(5, 3, 2), (3, 2)),
            ((300, 99), distinct(99, 300, 70), (300, 70)),
        ],
        numpy=put_along,
        torch=lambda torch, x, i, v: torch.scatter(x, 1, i, v),
        twice=False,
    ),
    Case(
        "scatter a number",
        lambda x, i: mg.scatter(x, 0, i, 2.5),
        [((3, 5), index(3, 2, 4))],
        torch=lambda torch, x, i: torch.scatter(x, 0, i, 2.5),
        twice=False,
    ),
    Case(
        "scatter_add",
        lambda x, i, v: mg.scatter_add(x, 0, i, v),
        [((3, 5), index(3, 4, 5), (4, 5)), ((), index(1), ()), ((50, 70), index(50, 400, 70), (400, 70))],
        torch=lambda torch, x, i, v: torch.scatter_add(x, 0, i, v),
        twice=False,
    ),
    Case(
        "scatter_add from more", lambda x, i, v: x.scatter_add(0, i, v), [((3, 5), index(3, 2, 4), (3, 6))], twice=False
    ),
    Case(
        "masked_select",
        mg.masked_select,
        [
            ((3, 4), mask(3, 4)),
            ((3, 4), mask(4)),
            ((4,), mask(3, 4)),
            ((), mask()),
            ((2, 0), mask(2, 0)),
            ((300, 70), mask(300, 1)),
        ],
        numpy=lambda x, m: np.broadcast_to(x, np.broadcast_shapes(x.shape, m.shape))[np.broadcast_arrays(m, x)[0]],
        torch=lambda torch, x, m: torch.masked_select(x, m),
        twice=False,
    ),
    Case(
        "nonzero",
        lambda x: mg.nonzero(x > 0),
        [((3, 4),), ((),), ((0, 2),)],
        numpy=lambda x: np.argwhere(x > 0),
        extremes=False,
        differentiable=False,
    ),
    Case(
        "nonzero as tuple",
        lambda x: mg.nonzero(x > 0, as_tuple=True),
        [((3, 4),), ((5,),)],
        numpy=lambda x: np.nonzero(x > 0),
        extremes=False,
        differentiable=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_in_place():
    a, v = mg.zeros(2, 3, requires_grad=True), mg.ones(2, 1, requires_grad=True)
    x = a * 1
    x.scatter_(1, mg.tensor([[2], [0]]), v * 5).scatter_add_(1, mg.tensor([[2], [1]]), v)
    assert x.tolist() == [[0, 0, 6], [5, 1, 0]]
    x.sum().backward()
    assert a.grad.tolist() == [[1, 1, 0], [0, 1, 1]] and v.grad.tolist() == [[6], [6]]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda x, i: x.gather(0, i + 3),
            IndexError,
            r"\[gather\] index 3 out of range for dim 0 of size 3, expected 0 to 2",
        ),
        (lambda x, i: x.gather(0, i - 1), IndexError, "index -1 out of range"),
        (lambda x, i: x.gather(0, i.float()), RuntimeError, "must be integer, found float32"),
        (lambda x, i: x.gather(0, i[0]), RuntimeError, r"has shape \(4,\), expected as many dimensions as \(3, 4\)"),
        (lambda x, i: x.gather(1, mg.cat([i, i])), RuntimeError, "larger than"),
        (lambda x, i: x.scatter(0, i, x[:1]), RuntimeError, r"src has shape \(1, 4\), expected at least .* \(2, 4\)"),
        (lambda x, i: x.index_select(0, i), IndexError, "must be a vector"),
        (lambda x, i: x.index_select(1, mg.tensor([4])), IndexError, "index 4 out of range for dim 1 of size 4"),
        (lambda x, i: x.masked_select(i), RuntimeError, "the mask must be bool, found int64"),
        (lambda x, i: x.take_along_dim(i[0], 0), RuntimeError, "as many dimensions"),
        (lambda x, i: x.gather(2, i), IndexError, "dim 2 out of range"),
    ],
)
def test_errors(function, error, message):
    with pytest.raises(error, match=message):
        function(mg.zeros(3, 4), mg.zeros(2, 4, dtype=mg.int64))
