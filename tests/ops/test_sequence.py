"""arange, linspace and eye."""

import numpy as np
import pytest

import minigrad as mg

RANGES = [
    (5,), (0,), (2, 7), (7, 2, -2), (0, 10, 3), (5.0,), (0.5, 3), (0, 1, 0.1), (1, 0, -0.25), (0, 5, 2.5), (1, 1),
    (-3, 3), (2**53 - 2, 2**53), (10, 0, -3), (0.0, 1.0, 0.3),
]  # fmt: skip


@pytest.mark.parametrize("args", RANGES, ids=str)
def test_arange_is_torchs(args):
    torch = pytest.importorskip("torch")
    x, expected = mg.arange(*args), torch.arange(*args)
    assert (x.dtype.name, x.shape) == (str(expected.dtype)[6:], tuple(expected.shape))
    np.testing.assert_allclose(x.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("args", [(0, 1, 5), (3, -3, 7), (0, 1, 1), (0, 1, 0), (-2.5, 2.5, 101), (5, 5, 3)], ids=str)
def test_linspace_is_torchs(args):
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(mg.linspace(*args).numpy(), torch.linspace(*args).numpy(), rtol=1e-6, atol=1e-6)


def test_ranges_of_other_dtypes():
    assert mg.arange(3, dtype=mg.float16).dtype is mg.float16
    assert mg.arange(mg.tensor(3)).tolist() == [0, 1, 2]
    assert mg.linspace(0, 4, 5, dtype=mg.int64).tolist() == [0, 1, 2, 3, 4]
    assert mg.arange(2.0, requires_grad=True).requires_grad


def test_eye():
    assert mg.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert mg.eye(2, dtype=mg.int64).dtype is mg.int64
    assert mg.eye(0).shape == (0, 0)


WRONG = [
    (lambda: mg.arange(0, 1, 0), RuntimeError, r"\[arange\] step 0 does not lead from 0 to 1"),
    (lambda: mg.arange(1, 0), RuntimeError, r"\[arange\] step 1 does not lead from 1 to 0"),
    (lambda: mg.linspace(0, 1, -1), RuntimeError, r"\[linspace\] steps must not be negative, found -1"),
    (lambda: mg.eye(-1), RuntimeError, r"\[eye\] sizes must not be negative"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
