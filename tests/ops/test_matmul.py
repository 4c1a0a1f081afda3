"""matmul, mm and bmm."""

import numpy as np
import pytest

import minigrad as mg
from tests import device
from tests.ops.harness import TIERS, Case, check

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


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16], ids=str)
@pytest.mark.parametrize("shapes", [PAIRS[0], PAIRS[2], PAIRS[3], PAIRS[11], PAIRS[18], PAIRS[20]], ids=str)
def test_halves_are_summed_in_float_and_rounded_once(shapes, dtype):
    """To half a unit in the last place of what float64 gives, and what float32 sums add to that."""
    rng = np.random.default_rng(3)
    a, b = (mg.from_numpy(rng.standard_normal(s)).to(dtype) for s in shapes)
    found, exact = (a @ b).numpy(), a.numpy().astype(np.float64) @ b.numpy().astype(np.float64)
    half_a_unit = {mg.float16: 2.0**-11, mg.bfloat16: 2.0**-8}[dtype]
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=1.01 * half_a_unit, atol=1e-5)


@TIERS
@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16], ids=str)
def test_every_half_there_is_comes_through(dtype, tier):
    """All 65536 of them, times 1: denormals, infinities and NaN too."""
    bits = np.arange(2**16, dtype=np.uint16)
    x = mg.from_numpy(bits.view(dtype).reshape(-1, 1))
    with mg.tier(tier):
        y = (x @ mg.ones(1, 1, dtype=dtype)).numpy().ravel()
    nan = np.isnan(y.astype(np.float32))
    assert (nan == np.isnan(bits.view(dtype).astype(np.float32))).all()
    flushed = dtype == mg.bfloat16 and tier == "native" and not device.where  # they are denormals of float32 as well
    expected = np.where((bits & 0x7F80) == 0, bits & 0x8000, bits) if flushed else bits
    found = (
        np.where((bits & 0x7F80) == 0, y.view(np.uint16) & 0x8000, y.view(np.uint16)) if flushed else y.view(np.uint16)
    )
    signed_zero = (expected & 0x7FFF) == 0
    assert (found == expected)[~nan & ~signed_zero].all() and (y[signed_zero] == 0).all()


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16], ids=str)
def test_halves_round_to_even(dtype):
    """Sums that lie between two halves, and beyond the largest, against numpy's rounding of the same float32 sum."""
    rng = np.random.default_rng(0)
    a = mg.from_numpy(
        np.concatenate([rng.standard_normal((4000, 2)), [[1, 1]] * 9]) * 10.0 ** rng.integers(-8, 5, (4009, 1))
    )
    a, b = a.to(dtype), mg.tensor([[1.0], [0.001]]).to(dtype)
    sums = (a.to(mg.float32) @ b.to(mg.float32)).numpy()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal((a @ b).numpy().astype(np.float32), sums.astype(dtype).astype(np.float32))
