"""x[index] against numpy: random index expressions for reading and its gradients. Writing: test_index_put.py."""

import numpy as np
import pytest
from hypothesis import given, settings

import minigrad as mg
from minigrad.autograd import grad
from minigrad.kernel import KERNELS
from tests.ops.harness import Case, check
from tests.ops.indices import cases, index, numpy_reads


@settings(max_examples=300)
@given(cases())
def test_reading(case):
    x, index, ours = case
    expected, leaf = numpy_reads(x, index), mg.tensor(x, requires_grad=True)
    if expected is None:
        with pytest.raises(IndexError, match=r"\[getitem\]"):
            leaf[ours]
        return
    y = leaf[ours]
    np.testing.assert_array_equal(y.detach().array, expected, strict=True)
    rng = np.random.default_rng(0)
    dy, u, dx = (
        mg.tensor(rng.standard_normal(y.shape), requires_grad=True),
        rng.standard_normal(x.shape),
        np.zeros_like(x),
    )
    np.add.at(dx, index, dy.detach().array)
    for create_graph in (False, True):
        (found,) = grad(y, leaf, dy, retain_graph=True, create_graph=create_graph)
        np.testing.assert_allclose(found.detach().array, dx, rtol=1e-12)
    (second,) = grad((found * mg.tensor(u)).sum(), dy)
    np.testing.assert_allclose(second.array, u[index], rtol=1e-12)


@settings(max_examples=200)
@given(cases())
def test_views_share_memory(case):
    x, index, ours = case
    expected, t = numpy_reads(x, index), mg.tensor(x)
    if expected is None or not np.size(expected):
        return
    y = t[ours]
    basic = not any(isinstance(i, (bool, np.bool_)) or np.ndim(i) for i in index)  # a 0-dim array counts as an int
    assert np.shares_memory(y.array, t.array) is basic
    y += 100
    x[index] = x[index] + 100 if basic else x[index]
    np.testing.assert_array_equal(t.array, x)


# Rows: the same through the harness (layouts, halves, native bodies, threads, torch) ---------------------------------


CASES = [
    Case("slices", lambda x: x[1:, ::2], [((4, 5, 3),), ((300, 70, 10),)], numpy=lambda x: x[1:, ::2], twice=False),
    Case("ints and None", lambda x: x[1, None, -1], [((4, 5, 3),)], numpy=lambda x: x[1, None, -1], twice=False),
    Case(
        "backwards", lambda x: x[::-1, ..., -2::-2], [((4, 5, 3),)], numpy=lambda x: x[::-1, ..., -2::-2], twice=False
    ),
    Case(
        "rows by an array",
        lambda x, i: x[i],
        [((4, 5), index(4, 2, 3)), ((4,), index(4, 9)), ((4, 5), index(1, 0)), ((300, 130), index(300, 900))],
        numpy=lambda x, i: x[i],
        torch=lambda torch, x, i: x[i],
        kernels=("embedding_backward",),
        twice=False,
    ),
    Case(
        "two arrays with a slice between",
        lambda x, i, j: x[i, :, j],
        [((4, 2, 5), index(4, 3, 1), index(5, 4)), ((30, 20, 50), index(30, 100), index(50, 100))],
        numpy=lambda x, i, j: x[i, :, j],
        torch=lambda torch, x, i, j: x[i, :, j],
        kernels=("embedding_backward",),
        twice=False,
    ),
    Case(
        "a mask",
        lambda x, m: x[m] * x[m],
        [((4, 3), lambda rng: rng.random(4) < 0.5), ((4, 3), lambda rng: rng.random((4, 3)) < 0.5)],
        numpy=lambda x, m: x[m] * x[m],
        torch=lambda torch, x, m: x[m] * x[m],
        kernels=("embedding_backward",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.cpu_only("a kernel on a GPU raises nothing")
@pytest.mark.parametrize(
    ("index", "message"),
    [
        (5, "index 5 is out of bounds for dim 0 with size 3; the indexed tensor has shape (3, 4)"),
        ((0, [1, -9]), "index -9 is out of bounds for dim 1 with size 4"),
        ((0, 0, 0), "3 were indexed"),
        (([0, 1], [0, 1, 2]), "could not be broadcast"),
        ([True, False], "boolean index did not match"),
        (1.5, "an index must be made of ints, slices, None, Ellipsis, bools and integer or bool arrays, found float"),
        ("a", "found str"),
        ([0.5], "an index array must hold integers or bools, found float64"),
        (mg.ones(2, requires_grad=True), "an index array must hold integers or bools, found float32"),
        (mg.tensor(1.0), "an index array must hold integers or bools, found float32"),
    ],
    ids=str,
)
def test_errors(index, message):
    x, tracked = mg.zeros(3, 4), mg.ones(1, requires_grad=True)
    uses = [("getitem", lambda: x[index]), ("setitem", lambda: x.__setitem__(index, 1))]
    for name, use in [*uses, ("setitem", lambda: x.__setitem__(index, tracked))]:
        with pytest.raises(IndexError) as error:
            use()
        assert str(error.value).startswith(f"[{name}] ") and message in str(error.value)


def test_an_index_that_changed_is_noticed():
    a, index = mg.ones(3, requires_grad=True), mg.tensor([0, 1])
    read, written = a[index], (a * 1).index_put((index,), a[:2])
    index += 1
    for y in (read, written):
        with pytest.raises(RuntimeError, match="was changed in place"):
            y.sum().backward()


@pytest.mark.parametrize("index", [([[1, 0]], Ellipsis), (slice(1), [2, 2], Ellipsis), ([1], Ellipsis, 1)])
def test_the_kernel_reads_as_the_reference_does(index):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    index = tuple(np.array(i) if type(i) is list else i for i in index)
    y, there = np.empty(x[index].shape, np.float32), mg.tensor(x, device="cuda-sim")
    KERNELS["take_forward"](y, x, index)
    np.testing.assert_array_equal(y, x[index])
    with mg.cuda.simulate(mode="check"):
        np.testing.assert_array_equal(there[index].cpu().numpy(), x[index])
        np.testing.assert_array_equal(there.T[index[0]].cpu().numpy(), x.T[index[0]])
