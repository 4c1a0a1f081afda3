"""dtypes and promotion: PyTorch's rules over all pairs of dtypes, with 0-dim tensors and Python numbers."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import minigrad as mg
from minigrad.dtypes import ALL, FLOATS, as_dtype, canonical, is_floating, result_dtype

NUMBERS = [True, 3, 2.5]
PAIRS = list(itertools.product(ALL, ALL))


def torchs(dtype):
    return getattr(pytest.importorskip("torch"), dtype.name)


def name(torch_dtype):
    return str(torch_dtype).removeprefix("torch.")


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_promotion_of_dtypes(a, b):
    torch = pytest.importorskip("torch")
    assert mg.promote_types(a, b).name == name(torch.promote_types(torchs(a), torchs(b)))
    assert mg.promote_types(a, b) is mg.promote_types(b, a)


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_promotion_of_tensors(a, b):
    """All mixes of tensors with and without dimensions, in ops that promote alike and in a quotient."""
    torch = pytest.importorskip("torch")
    for m, n in itertools.product(([1], 1), repeat=2):
        ours, theirs = (
            (mg.tensor(m, dtype=a), mg.tensor(n, dtype=b)),
            (torch.tensor(m, dtype=torchs(a)), torch.tensor(n, dtype=torchs(b))),
        )
        expected = name(torch.result_type(*theirs))
        for op in (mg.add, mg.mul, mg.maximum):
            assert op(*ours).dtype.name == expected
        assert mg.div(*ours).dtype.name == name((theirs[0] / theirs[1]).dtype)
        assert mg.eq(*ours).dtype is mg.bool
        assert mg.where(mg.tensor(True), *ours).dtype.name == expected


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_promotion_with_numbers(dtype, number):
    torch = pytest.importorskip("torch")
    for values in ([1], 1):
        x, t = mg.tensor(values, dtype=dtype), torch.tensor(values, dtype=torchs(dtype))
        for ours, theirs in (
            (x + number, t + number),
            (number * x, number * t),
            (x / number, t / number),
            (number / x, number / t),
        ):
            assert (ours.dtype.name, ours.shape) == (name(theirs.dtype), tuple(theirs.shape))
            np.testing.assert_allclose(ours.double().numpy(), theirs.double().numpy(), rtol=1e-2)
        for ours, theirs in ((x > number, t > number), (number == x, number == t)):
            assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("default", FLOATS, ids=str)
def test_numbers_take_the_default_dtype(default):
    mg.set_default_dtype(default)
    assert (mg.tensor([1]) + 0.5).dtype is default
    assert (mg.tensor([1]) / 2).dtype is default
    assert mg.exp(mg.tensor([1])).dtype is default
    assert (mg.tensor([1.0], dtype=mg.float16) + 0.5).dtype is mg.float16
    assert mg.get_default_dtype() is default


def test_numpy_operands_count_as_tensors():
    x = mg.ones(2)
    assert (x + np.ones(2)).dtype is mg.float64
    assert (np.ones(2) + x).dtype is mg.float64
    assert (x + np.float64(1)).dtype is mg.float32
    assert (x * np.ones(2, np.int64)).dtype is mg.float32
    assert (mg.tensor([1], dtype=mg.int8) + np.int64(1)).dtype is mg.int8


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_every_form_of_a_dtype_is_one_object(dtype):
    swapped = np.dtype(dtype.str) if dtype != mg.bfloat16 else dtype
    for form in (dtype, dtype.name, dtype.type, swapped):
        assert as_dtype(form) is dtype
    assert mg.zeros(1, dtype=dtype).dtype is dtype
    assert is_floating(dtype) == (dtype in FLOATS)


def test_names_are_pytorchs():
    assert (mg.double, mg.float, mg.half, mg.long, mg.int, mg.short) == (
        mg.float64, mg.float32, mg.float16, mg.int64, mg.int32, mg.int16,
    )  # fmt: skip
    assert mg.bfloat16 == np.dtype(ml_dtypes.bfloat16)
    assert mg.float32 is np.dtype("float32")


def test_what_is_no_dtype():
    for wrong in ("complex64", "float", "text", np.complex64, np.dtype(">f4"), object):
        with pytest.raises(TypeError, match=r"\[dtype\] .* is not supported, expected one of bool, uint8"):
            as_dtype(wrong)
    with pytest.raises(TypeError):
        mg.zeros(1, dtype=3)


def test_canonical_arrays_keep_their_memory():
    odd = np.arange(6, dtype=np.longlong).reshape(2, 3).T
    found = canonical(odd)
    assert found.dtype is mg.int64
    assert found.strides == odd.strides
    assert np.shares_memory(found, odd)
    plain = np.zeros(2)
    assert canonical(plain) is plain


def test_result_dtype_of_groups():
    zero, vector = np.zeros((), np.float64), np.zeros(2, np.float32)
    assert result_dtype([vector, zero, 1.5]) is mg.float32
    assert result_dtype([np.zeros(2, np.int8), 1.5]) is mg.float32
    assert result_dtype([np.zeros(2, np.int8), np.zeros((), np.int64)]) is mg.int8
    assert result_dtype([np.zeros(2, bool), 1]) is mg.int64
    assert result_dtype([1, 2.5]) is mg.float32
