"""sort, argsort, topk and kthvalue: order along a dimension, equals and NaN."""

import numpy as np
import pytest

import minigrad as mg
from tests.ops.harness import Case, check

SHAPES = [((5, 4, 3),), ((1, 7),), ((2, 1, 3),), ((3, 33),), ((7, 400),)]  # few enough for no equals


def rows(name, function, kernel):
    return [
        Case(f"{name}({dim})", lambda x, dim=dim: function(mg, x, dim)[0], SHAPES,
             torch=lambda torch, x, dim=dim: function(torch, x, dim)[0], kernels=(kernel,), twice=False)
        for dim in (0, -1)
    ]  # fmt: skip


CASES = [
    *rows("sort", lambda m, x, dim: m.sort(x, dim=dim, stable=True), "sort_forward"),
    *rows("sort, descending", lambda m, x, dim: x.sort(dim=dim, descending=True, stable=True), "sort_forward"),
    *rows("topk", lambda m, x, dim: m.topk(x, (x.shape[dim] + 1) // 2, dim), "topk_forward"),
    *rows("topk, smallest", lambda m, x, dim: x.topk(1, dim, largest=False), "topk_forward"),
    *rows("kthvalue", lambda m, x, dim: m.kthvalue(x, (x.shape[dim] + 1) // 2, dim), "topk_forward"),
    Case("sort of a scalar", lambda x: x.sort(0)[0], [((),)], torch=lambda torch, x: x.sort(0)[0], twice=False),
    Case("topk of a scalar", lambda x: x.topk(1, 0)[0], [((),)], torch=lambda torch, x: x.topk(1, 0)[0], twice=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


SPECIAL = [2.0, np.nan, -0.0, 0.0, np.inf, -1.0, -np.inf, 2.0, np.nan, 0.0, -1.0, 1e-40, -1e-40]
EQUALS = np.random.default_rng(0).integers(0, 4, 3000).tolist()


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("values", [SPECIAL, EQUALS], ids=["special", "equals"])
def test_equals_stay_in_order_and_nan_is_largest(values, descending, device):
    torch = pytest.importorskip("torch")
    expected = torch.sort(torch.tensor(values, dtype=torch.float32), descending=descending, stable=True)
    x = mg.tensor(values, dtype=mg.float32, device=device)
    found = x.sort(descending=descending)
    np.testing.assert_array_equal(found.indices.cpu().numpy(), expected.indices.numpy())
    np.testing.assert_array_equal(found.values.cpu().numpy(), expected.values.numpy())
    assert x.argsort(descending=descending).tolist() == expected.indices.tolist()
    for k in (1, 7, len(values)):
        assert x.topk(k, largest=descending).indices.tolist() == expected.indices.tolist()[:k]


@pytest.mark.parametrize("dtype", [mg.int64, mg.uint8, mg.bool, mg.float64, mg.float16])
def test_dtypes(dtype):
    x = mg.tensor([3, 0, 1, 1], dtype=dtype)
    found = x.sort()
    assert (found.values.dtype, found.indices.dtype) == (dtype, mg.int64)
    assert found.indices.tolist() == ([1, 0, 2, 3] if dtype is mg.bool else [1, 2, 3, 0])
    assert x.sort(descending=True).indices.tolist() == [0, 2, 3, 1]


def test_forms():
    x = mg.tensor([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]])
    assert x.kthvalue(2, keepdim=True).values.tolist() == [[2.0], [5.0]]
    assert x.kthvalue(1, 0).indices.tolist() == [0, 0, 0]
    assert x.topk(0).values.shape == (2, 0)
    assert mg.zeros(0, 3).sort(1).values.shape == (0, 3) and mg.zeros(3, 0).sort(1).indices.shape == (3, 0)


def test_errors():
    with pytest.raises(IndexError, match="dim 2 out of range for 2 dimensions"):
        mg.sort(mg.zeros(2, 3), 2)
    with pytest.raises(RuntimeError, match="k is 4, expected 0 to 3, the size along dim -1"):
        mg.topk(mg.zeros(2, 3), 4)
    with pytest.raises(RuntimeError, match="k is 0, expected 1 to 2, the size along dim 0"):
        mg.kthvalue(mg.zeros(2, 3), 0, 0)
    with pytest.raises(TypeError, match="must be a Tensor, found list"):
        mg.argsort([1.0])
