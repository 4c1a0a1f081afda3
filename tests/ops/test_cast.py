"""to, type_as, float(), long() and their relatives."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.dtypes import ALL
from tests.ops.harness import Case, check

CASES = [
    Case("to float64 and back", lambda x: (x.double() * 2).to(x.dtype), numpy=lambda x: x * 2),
    Case("to float32", lambda x: x.float().to(x.dtype), [((3, 4),), ((0,),), ((),)], rtol=1e-6, differentiable=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("target", ALL, ids=str)
@pytest.mark.parametrize("source", ALL, ids=str)
def test_every_pair_is_torchs(source, target):
    torch = pytest.importorskip("torch")
    values = [0, 1, 2, 100] if source != mg.bool else [0, 1, 1, 0]
    x = mg.tensor(values, dtype=source).to(target)
    expected = torch.tensor(values, dtype=getattr(torch, source.name)).to(getattr(torch, target.name))
    assert x.dtype is target
    assert x.tolist() == expected.tolist()


def test_floats_are_cut_not_rounded():
    assert mg.tensor([1.7, -1.7, 0.5]).to(mg.int64).tolist() == [1, -1, 0]
    assert mg.tensor([0.5, 0.0, -2.0]).bool().tolist() == [True, False, True]


def test_what_does_not_fit_a_half_is_inf():
    assert mg.tensor([1e10, -1e10, 1.0]).half().tolist() == [np.inf, -np.inf, 1.0]


def test_gradients_come_back_in_the_dtype_of_the_input():
    x = mg.ones(3, dtype=mg.float16, requires_grad=True)
    (x.float() * 2).double().sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (mg.float16, [2.0] * 3)


def test_the_graph_ends_at_integers():
    x = mg.ones(3, requires_grad=True)
    y = x.to(mg.int64)
    assert (y.requires_grad, y.is_leaf) == (False, True)


def test_nothing_to_do():
    x = mg.ones(2)
    assert x.to(mg.float32) is x is x.float() is x.to("cpu") is x.cpu() is x.to(x)
    y = x.to(mg.float32, copy=True)
    assert y is not x
    assert not np.shares_memory(x.numpy(), y.numpy())


NAMES = {"double": mg.float64, "float": mg.float32, "half": mg.float16, "bfloat16": mg.bfloat16, "long": mg.int64}
NAMES |= {"int": mg.int32, "short": mg.int16, "char": mg.int8, "byte": mg.uint8, "bool": mg.bool}


@pytest.mark.parametrize("name", NAMES)
def test_named_forms(name):
    assert getattr(mg.tensor([0, 1]), name)().dtype is NAMES[name]


def test_forms_of_the_arguments():
    x, other = mg.ones(2), mg.ones(1, dtype=mg.float64)
    for y in (
        x.to(mg.float64),
        x.to(other),
        x.to("cpu", mg.float64),
        x.to("float64"),
        x.to(np.float64),
        x.type_as(other),
    ):
        assert y.dtype is mg.float64
    assert x.to(device="cpu", dtype=mg.int8).dtype is mg.int8


@pytest.mark.cpu_only("says that there is no GPU")
def test_errors():
    with pytest.raises(RuntimeError, match=r"\[to\] device 'cuda' is not available, expected 'cpu' or"):
        mg.ones(1).to("cuda")
    with pytest.raises(TypeError, match=r"\[dtype\] complex64 is not supported"):
        mg.ones(1).to(np.dtype("complex64"))
