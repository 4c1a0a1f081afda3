"""matmul, mm and bmm."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

# (m, k) (k, n) around the blocks of the kernel, empty sizes, vectors, batches that broadcast; the last engage threads
PAIRS = [
    ((3, 4), (4, 5)),
    ((1, 1), (1, 1)),
    ((7, 33), (33, 17)),
    ((2, 0), (0, 3)),
    ((0, 4), (4, 2)),
    ((3, 4), (4, 0)),
    ((4,), (4,)),
    ((4,), (4, 3)),
    ((2, 4), (4,)),
    ((5, 2, 4), (4,)),
    ((4,), (5, 4, 2)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((1, 3, 4), (2, 4, 5)),
    ((0, 3, 4), (4, 5)),
    ((2, 3, 0), (0, 5)),
    ((161, 130), (130, 70)),
    ((3, 65, 64), (64, 63)),
    ((9, 40, 50), (9, 50, 30)),
]

CASES = [
    Case(
        "matmul", mg.matmul, PAIRS, numpy=np.matmul, torch=lambda t, a, b: a @ b, kernels=("matmul_forward",), rtol=1e-5
    ),
    Case(
        "matmul of transposed",
        lambda a, b: a.mT @ b.mT,
        [((4, 3), (5, 4)), ((2, 4, 3), (5, 4)), ((70, 161), (65, 70))],
        numpy=lambda a, b: a.swapaxes(-1, -2) @ b.swapaxes(-1, -2),
        kernels=("matmul_forward",),
        rtol=1e-5,
    ),
    Case("mm", mg.mm, [((3, 4), (4, 5))], numpy=np.matmul, torch=lambda t, a, b: t.mm(a, b), rtol=1e-5),
    Case(
        "bmm",
        mg.bmm,
        [((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5))],
        numpy=np.matmul,
        torch=lambda t, a, b: t.bmm(a, b),
    ),
    Case("a square", lambda a: a @ a, [((3, 3),)], numpy=lambda a: a @ a, torch=lambda t, a: a @ a, rtol=1e-5),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("m", [1, 5, 6, 7, 8, 13, 16, 17, 31, 48])
@pytest.mark.parametrize("n", [1, 7, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("k", [1, 2, 63, 256, 257])
def test_sizes_around_the_blocks(m, n, k):
    rng = np.random.default_rng(m * n * k)
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    expected = a.astype(np.float64) @ b
    for left, right in ((a, b), (a.T.copy().T, b), (a, b.T.copy().T), (a.T.copy().T, b.T.copy().T)):
        found = (mg.from_numpy(left) @ mg.from_numpy(right)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 * k**0.5)


def test_integers():
    a = mg.tensor([[1, 2], [3, 4]])
    assert (a @ a).tolist() == [[7, 10], [15, 22]]


def test_numpy_operands():
    x = mg.ones(2, 2)
    assert (np.eye(2, dtype=np.float32) @ x).tolist() == (x @ np.eye(2, dtype=np.float32)).tolist() == [[1, 1], [1, 1]]


M, V = mg.ones(2, 3), mg.ones(3)
WRONG = [
    (
        lambda: M @ M,
        RuntimeError,
        r"\[matmul\] shapes \(2, 3\) and \(2, 3\) cannot be multiplied: the inner sizes differ",
    ),
    (lambda: M @ mg.tensor(1.0), RuntimeError, r"\[matmul\] operands need at least one dimension"),
    (lambda: M @ V.double(), RuntimeError, r"\[matmul\] both operands must have one dtype, found float32 and float64"),
    (
        lambda: mg.ones(2, 2, 3) @ mg.ones(3, 3, 2),
        RuntimeError,
        r"\[matmul\] shapes \(2,\) and \(3,\) do not broadcast",
    ),
    (lambda: mg.mm(M, V), RuntimeError, r"\[mm\] expected 2 dimensions, found shape \(3,\)"),
    (lambda: mg.bmm(mg.ones(2, 1, 3), mg.ones(1, 3, 1)), RuntimeError, r"\[bmm\] the batches differ"),
    (lambda: mg.matmul(M, 2), TypeError, r"\[matmul\] other must be a Tensor, found int"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
