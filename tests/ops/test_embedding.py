"""embedding: rows of a table, and what is summed into them."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.nn import functional as F
from minigrad.testing import check_kernel, gradcheck
from tests.ops.harness import Case, check
from tests.ops.indices import index

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")


SHAPES = [
    ((5, 3), index(5, 2, 4)),
    ((5, 3), index(5)),
    ((1, 1), index(1, 3)),
    ((4, 0), index(4, 3)),
    ((3, 2), index(1, 0)),
    ((2, 70), index(2, 9)),
    ((600, 131), index(600, 700)),
]

CASES = [
    Case(
        "embedding",
        lambda w, i: F.embedding(i, w),
        SHAPES,
        numpy=lambda w, i: w[i],
        torch=lambda torch, w, i: torch.nn.functional.embedding(i, w),
        kernels=("embedding_forward", "embedding_backward"),
        twice=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


OPTIONS = [{"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}]


@pytest.mark.parametrize("options", [*OPTIONS, OPTIONS[0] | OPTIONS[2]], ids=str)
def test_options_against_torch(options):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    table, index, dy = rng.standard_normal((5, 3)), rng.integers(0, 5, (4, 6)), rng.standard_normal((4, 6, 3))
    grads = []
    for module in (mg, torch):
        w = module.tensor(table).requires_grad_()
        module.nn.functional.embedding(module.tensor(index), w, **options).backward(module.tensor(dy))
        grads.append(w.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-12)


def test_the_gradient_can_be_differentiated():
    """The padding row has none by definition, which central differences cannot know: they look at the others."""
    index, w = mg.tensor([[1, 0], [2, 1]]), mg.tensor([[0.5, 1.0], [2.0, -1.0], [3.0, 0.1]], dtype=mg.float64)

    def gradient(w):
        with mg.enable_grad():
            w = w if w.requires_grad else w.detach().requires_grad_()
            y = F.embedding(index, w, padding_idx=0)
            return mg.autograd.grad((y * y * y).sum(), w, create_graph=True)[0][1:]

    gradcheck(lambda rows: gradient(mg.cat([w[:1], rows])), w[1:].clone().requires_grad_())


@native
@pytest.mark.parametrize(
    ("rows", "cols", "n"), [(1, 1, 0), (1, 1, 1), (7, 3, 5), (4, 64, 33), (300, 65, 1000), (3, 0, 2)]
)
def test_kernels(rows, cols, n):
    rng = np.random.default_rng(0)
    index = rng.integers(0, rows, n)
    dy, table = (rng.standard_normal(s).astype(np.float32) for s in ((n, cols), (rows, cols)))
    check_kernel("embedding_forward", np.empty_like(dy), table, index)
    check_kernel("embedding_backward", np.full_like(table, np.nan), dy, index)


@native
def test_kernels_check_the_index():
    y, table = np.zeros((1, 2), np.float32), np.zeros((3, 2), np.float32)
    for bad in (3, -1):
        with pytest.raises(IndexError, match=f"index {bad} out of range for a table of 3 rows"):
            cpu.kernels()["embedding_forward"](y, table, np.array([bad]))
        with pytest.raises(IndexError, match=f"index {bad} out of range for a table of 3 rows"):
            cpu.kernels()["embedding_backward"](table, y, np.array([bad]))
    with pytest.raises(ValueError, match="expected a table of shape"):
        cpu.kernels()["embedding_backward"](table, y, np.array([0, 1]))


@pytest.mark.cpu_only("the GPU's kernel sums in float")
def test_many_places_of_one_row_are_summed_in_double():
    n, w = 200_000, mg.zeros(2, 3, requires_grad=True)
    F.embedding(mg.zeros(n, dtype=mg.int64), w).backward(mg.full((n, 3), 0.1))
    np.testing.assert_allclose(w.grad.array[0], n * np.float64(np.float32(0.1)), rtol=1e-7)
    assert w.grad.array[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [mg.int32, mg.uint8])
def test_any_integers_can_be_an_index(dtype):
    assert F.embedding(mg.tensor([1, 0], dtype=dtype), mg.tensor([[1.0], [2.0]])).tolist() == [[2.0], [1.0]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 5], 2), IndexError, r"\[embedding.*\] index 5 out of range for a table of 4 rows, expected 0 to 3"),
        (([-1], 2), IndexError, "index -1 out of range"),
        (([0.5], 2), RuntimeError, "must be integer, found float32"),
        (([0], 1), RuntimeError, r"must have 2 dimensions, found shape \(4,\)"),
        (([0], 2, 4), ValueError, "padding_idx 4 is not a row of a table of 4 rows"),
        (([0], 2, None, 1.0), NotImplementedError, "max_norm"),
    ],
)
@pytest.mark.cpu_only("the words are those of the CPU's kernel")
def test_errors(arguments, error, message):
    index, ndim, *options = arguments
    with pytest.raises(error, match=message):
        F.embedding(mg.tensor(index), mg.zeros(*(4, 3)[:ndim]), *options)


def test_an_index_changed_before_backward_is_noticed():
    w, index = mg.ones(3, 2, requires_grad=True), mg.tensor([0, 1])
    y = F.embedding(index, w)
    index[0] = 2
    with pytest.raises(RuntimeError, match=r"\[Embedding\] .* changed in place by \[setitem\]"):
        y.sum().backward()
