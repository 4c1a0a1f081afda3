"""The text of tensors: PyTorch's, letter for letter, but for the names of dtypes and nodes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
FLOATS = [
    0.0, 1.5, [1, 2], [1.0, 2.5], [], [[]], [1e10, 1], [1e-5, 1], [1e-5], [123456.0, 1], [0, math.nan], [math.inf, 1],
    [-1, 2], [1e9], [0.1, 1000], [0.1, 1001], [1, 1001], [1e-4], [1e-5, 0], [math.nan] * 3, [math.inf, -math.inf],
    [math.nan, 1e10, 2.5], [1e8], [99999999.0, 1], [-0.0, 0.0], [-0.5, 0.25], [1e-45, 1], [1e38, 1],
    [2**53, 1], [1e-3, 0.01], [5e-4, 0.4], [5e-4, 0.6], [100000.5, 2],
    np.zeros((2, 3)), np.zeros((2, 3, 2)), np.zeros((0, 3)), np.zeros((3, 0, 2)),
    np.arange(30), np.arange(1000), np.arange(1001), RNG.standard_normal((3, 4)), RNG.standard_normal((2, 3, 4)) * 1000,
    RNG.standard_normal((5, 30)), RNG.random((3, 1001)), RNG.random((11, 2, 101)), np.zeros((2, 2, 2, 2)),
]  # fmt: skip
OTHERS = [
    [[1, 2], [3, 4]], [True, False], [1, -100, 1000], RNG.integers(-99, 99, (4, 40)), np.arange(2000).reshape(40, 50),
    np.arange(1001) % 2 == 0, np.int8([1, 2]), np.uint8([255]), np.float16([1.5, 2.25]), np.float16(3.14), 7, True,
]  # fmt: skip


def plain(text):
    return text.replace("torch.", "").replace("Size(", "(")


@pytest.mark.parametrize("data", FLOATS, ids=lambda d: str(np.shape(d)))
def test_float32(data):
    data = np.asarray(data, np.float64).astype(np.float32)
    assert repr(mg.tensor(data)) == repr(torch.tensor(data))


@pytest.mark.parametrize("data", OTHERS, ids=lambda d: str(np.shape(d)))
def test_other_dtypes(data):
    assert repr(mg.tensor(data)) == plain(repr(torch.tensor(data)))


def test_bfloat16():
    values = [1.0, 0.3, 100.0]
    assert repr(mg.tensor(values, dtype=mg.bfloat16)) == plain(repr(torch.tensor(values, dtype=torch.bfloat16)))


@given(st.lists(st.floats(width=32), max_size=40))
def test_any_floats(values):
    assert repr(mg.tensor(np.float32(values))) == repr(torch.tensor(np.float32(values)))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_any_integers(values):
    assert repr(mg.tensor(values, dtype=mg.int64)) == plain(repr(torch.tensor(values, dtype=torch.int64)))


@pytest.mark.parametrize(
    "options",
    [{"precision": 2}, {"edgeitems": 2, "threshold": 10}, {"linewidth": 40}, {"sci_mode": True}, {"sci_mode": False}],
)
def test_options(options):
    before = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
    try:
        mg.set_printoptions(**options)
        torch.set_printoptions(**options)
        for data in (RNG.random(5) * 5000, RNG.random((6, 7)), np.arange(50.0), np.array([1e-9, 1.0])):
            data = data.astype(np.float32)
            assert repr(mg.tensor(data)) == repr(torch.tensor(data))
    finally:
        mg.set_printoptions(**before)
        torch.set_printoptions(profile="default")
    with pytest.raises(ValueError, match=r"\[set_printoptions\] unknown options \['colour'\], expected some of"):
        mg.set_printoptions(colour=True)


def test_the_graph_is_named():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<Mul>)"
    assert repr(x.double()) == "tensor([1., 2.], dtype=float64, grad_fn=<Cast>)"
    assert repr(x.detach()) == "tensor([1., 2.])"


def test_notes_that_do_not_fit_get_a_line():
    x = mg.zeros(13, requires_grad=True)
    assert repr(x) == repr(torch.zeros(13, requires_grad=True))
    assert repr(mg.zeros(23, requires_grad=True)) == repr(torch.zeros(23, requires_grad=True))
    assert repr(mg.rand(8, dtype=mg.float64)).endswith("],\n       dtype=float64)")


def test_text_and_formats():
    x = mg.tensor(2.0)
    assert (str(x), f"{x}", f"{x:.3f}", f"{mg.tensor(7):03d}") == ("tensor(2.)", "tensor(2.)", "2.000", "007")
    assert f"{mg.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError):
        format(mg.ones(2), ".2f")
