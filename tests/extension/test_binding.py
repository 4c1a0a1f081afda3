"""What the binding refuses, and how it says so."""

import numpy as np
import pytest

from tests.extension.helpers import F32

f, g = np.zeros((3, 4), F32), np.zeros((3, 4), F32)
frozen = np.zeros((3, 4), F32)
frozen.flags.writeable = False
REFUSED = [
    ("relu_forward", (f,), TypeError, r"\[relu_forward\] expected 2 arguments, found 1"),
    (
        "relu_forward",
        (f, np.zeros((3, 4), np.int64)),
        TypeError,
        r"\[relu_forward\] argument 2: expected float32, found int64 of shape \(3, 4\)",
    ),
    ("relu_forward", (f, "text"), TypeError, r"\[relu_forward\] argument 2: expected float32, found str"),
    ("relu_forward", (frozen, f), TypeError, r"argument 1: expected writable float32, found read-only float32"),
    ("relu_forward", (f, g.astype(">f4")), TypeError, r"found byte-swapped >f4"),
    (
        "relu_forward",
        (f, np.zeros(13, np.uint8)[1:].view(np.dtype((F32, ())))[:3]),
        TypeError,
        r"found unaligned float32",
    ),
    ("relu_forward", (2.0, f), TypeError, r"argument 1: expected writable float32, found float"),
    (
        "add_forward",
        (f, f, np.zeros(5, F32)),
        ValueError,
        r"\[add_forward\] shape \(5,\) does not broadcast to \(3, 4\)",
    ),
    ("add_forward", (f, f, np.zeros((2, 3, 4), F32)), ValueError, r"does not broadcast"),
    (
        "sum_forward",
        (np.zeros((3, 4), F32), np.zeros((3, 4, 5), F32)),
        ValueError,
        r"\[sum_forward\] expected x of shape",
    ),
    ("sum_forward", (f, f), ValueError, r"\[sum_forward\]"),
    (
        "sum_forward",
        (f, np.zeros((3, 2, 8), F32)[:, :, ::2]),
        TypeError,
        r"argument 2: expected C-contiguous float32, found strided float32",
    ),
    (
        "max_forward",
        (f, f, np.zeros((3, 2, 4), F32)),
        TypeError,
        r"argument 2: expected writable C-contiguous int64, found float32",
    ),
    (
        "cumsum_forward",
        (np.zeros((1, 2, 3), F32), np.zeros((1, 3, 2), F32)),
        ValueError,
        r"shapes \(1, 2, 3\) and \(1, 3, 2\)",
    ),
    (
        "matmul_forward",
        (np.zeros((1, 2, 2), F32), np.zeros((1, 2, 3), F32), np.zeros((1, 2, 2), F32), False, False),
        ValueError,
        r"do not give",
    ),
    (
        "matmul_forward",
        (np.zeros((1, 2, 2), F32),) * 3 + (0, False),
        TypeError,
        r"argument 4: expected a bool, found int",
    ),
    ("linear_forward", (f, f, f, None), ValueError, r"\[linear_forward\]"),
    ("linear_forward", (np.zeros((3, 3), F32), f, f, np.zeros(4, F32)), ValueError, r"expected bias"),
    ("uniform_fill", (f, 1.5, 0), TypeError, r"argument 2: expected an int, found float"),
    ("uniform_fill", (f, 2**70, 0), TypeError, r"argument 2: expected an int of 64 bits"),
    ("dropout_forward", (f, f, 1.5, 0, 0), ValueError, r"p must lie in \[0, 1\]"),
    ("clamp_forward", (f, f, "0", 1.0), TypeError, r"argument 3: expected a number, found str"),
    ("empty", ((-1,), F32), ValueError, r"\[empty\] negative dimension -1"),
    ("empty", ((2,), object), TypeError, r"\[empty\] dtype object: expected plain numbers"),
    ("empty", ((2**40, 2**40), F32), MemoryError, r"\[empty\]"),
    ("empty", ("ab", F32), TypeError, r"integer"),
    ("empty", (1,), TypeError, r"expected 2 arguments"),
]


@pytest.mark.parametrize("name, args, error, message", REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)])
def test_wrong_calls_are_refused(ext, name, args, error, message):
    with pytest.raises(error, match=message):
        getattr(ext, name)(*args)


def test_kernels_are_listed(ext):
    assert len(set(ext.KERNELS)) == len(ext.KERNELS) > 50
    assert all(callable(getattr(ext, name)) for name in ext.KERNELS)
