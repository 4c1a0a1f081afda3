"""x[index] and x[index] = v, against numpy: random index expressions for reading, writing and the gradients of both."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.autograd import grad
from minigrad.testing import check_backwards, gradcheck, gradgradcheck
from tests.ops.harness import Case, check

# Index expressions: numpy's, with some that numpy refuses ------------------------------------------------------------

SLICES = st.builds(slice, *[st.none() | st.integers(-5, 5)] * 2, st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]))
PLAIN = st.sampled_from([None, Ellipsis, True, False, np.True_])


def arrays_of(shape, element):
    size, dtype = math.prod(shape), bool if element is BOOLS else np.int64
    return st.lists(element, min_size=size, max_size=size).map(lambda v: np.array(v, dtype).reshape(shape))


BOOLS = st.booleans()


def whole_numbers(n, shape):
    """Integer arrays that index `n` places, of a shape that broadcasts to `shape`."""
    shapes = st.sampled_from([shape, shape[1:], (1,) * len(shape)]) if n else st.just((0,))
    return shapes.flatmap(lambda s: arrays_of(s, st.integers(-n, n - 1) if n else st.just(0)))


@st.composite
def indices(draw, shape):
    """A tuple that says something of each dimension, or leaves the last ones out; in one of 20 cases it is wrong."""
    arrays, items, d = draw(st.sampled_from([(2,), (3, 1), (2, 3), (0,), (1,)])), [], 0
    while d < len(shape) and draw(st.integers(0, 9)):
        n, kind = shape[d], draw(st.sampled_from("iiisssaaampp"))
        if kind == "p":
            items.append(draw(PLAIN))
            continue
        if kind == "m":
            dims = draw(st.integers(1, len(shape) - d))
            items.append(draw(arrays_of(shape[d : d + dims], BOOLS)))
            d += dims
            continue
        strategy = {"i": st.integers(-n, n - (1 if n else 0)), "s": SLICES, "a": whole_numbers(n, arrays)}[kind]
        items.append(draw(strategy))
        d += 1
    if not draw(st.integers(0, 19)):
        items.append(draw(st.sampled_from([9, np.array([9]), np.ones(7, bool), 0, 0])))
    return tuple(items)


def dressed(index, kinds):
    """The same index with its arrays as Tensors, lists or numpy arrays, and 0-dim Tensors for some ints."""
    forms = (mg.tensor, np.asarray, lambda a: a.tolist())
    out = []
    for i, kind in zip(index, kinds, strict=False):
        if isinstance(i, np.ndarray):
            i = forms[kind](i) if i.size or kind != 2 else i  # [] says nothing of the other dimensions
        elif type(i) is int and kind == 0:
            i = mg.tensor(i)
        out.append(i)
    return tuple(out) if len(out) != 1 or isinstance(out[0], list) else out[0]


@st.composite
def cases(draw):
    shape = draw(st.sampled_from([(4, 3, 5), (3, 4), (5,), (), (2, 0, 3), (2, 3, 2, 3), (1, 4)]))
    index = draw(indices(shape))
    kinds = draw(st.lists(st.integers(0, 2), min_size=len(index), max_size=len(index)))
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape), index, dressed(index, kinds)


def numpy_reads(x, index):
    try:
        return x[index]
    except IndexError:
        return None


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


@settings(max_examples=300)
@given(cases(), st.sampled_from(["whole", "row", "number", "wrong"]), st.booleans())
def test_writing(case, kind, add):
    x, index, ours = case
    place = numpy_reads(x, index)
    shape = {"whole": np.shape(place), "row": np.shape(place)[-1:], "number": (), "wrong": (17, 19)}[kind]
    v, expected = np.random.default_rng(1).standard_normal(shape), x.copy()

    def write(t, v):
        t = t * 1.0
        if add:
            t[ours] += v
        else:
            t[ours] = v
        return t

    inputs = [mg.tensor(a, requires_grad=True) for a in (x, v)]
    if place is None or (kind == "wrong" and np.size(place)):
        with pytest.raises(IndexError if place is None else RuntimeError, match=r"\[\w+\]"):
            write(*inputs)
        return
    if kind == "wrong":
        return
    expected[index] = expected[index] + v if add else v
    np.testing.assert_array_equal(write(*inputs).detach().array, expected)
    for a in inputs:  # nothing recorded: the other way through the code
        a.requires_grad_(False)
    np.testing.assert_array_equal(write(*inputs).array, expected)
    if x.size:
        for a in inputs:
            a.requires_grad_()
        for checker in (gradcheck, check_backwards, gradgradcheck):
            checker(write, inputs)


# Rows: the same through the harness (layouts, halves, native bodies, threads, torch) ---------------------------------


def index(n, *shape):
    return lambda rng: rng.integers(0, n, shape)


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
    Case(
        "index_put",
        lambda x, i, v: mg.index_put(x, (i,), v),
        [
            ((6, 2), lambda rng: rng.permutation(6)[:3], (3, 2)),
            ((600, 70), lambda rng: rng.permutation(600)[:500], (70,)),
        ],
        torch=lambda torch, x, i, v: torch.index_put(x, (i,), v),
        twice=False,
    ),
    Case(
        "index_put, adding",
        lambda x, i, v: mg.index_put(x, (None, i), v, accumulate=True),
        [((2, 6), index(6, 9), (2, 9)), ((2, 6), index(6, 9), ()), ((100, 60), index(60, 700), (700,))],
        torch=lambda torch, x, i, v: torch.index_put(x, (torch.arange(x.shape[0])[:, None], i), v, accumulate=True),
        kernels=("embedding_backward",),
        twice=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


# What differs from PyTorch, and what must not happen -----------------------------------------------------------------


def test_of_several_writes_to_one_element_the_last_stays_and_alone_has_a_gradient():
    a, v = mg.zeros(3, requires_grad=True), mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = a * 1
    x[[1, 1, 0]] = v
    (x * x).sum().backward()
    assert x.tolist() == [3, 2, 0] and v.grad.tolist() == [0, 4, 6] and a.grad.tolist() == [0, 0, 0]


def test_values_are_converted():
    x = mg.arange(4)
    x[0], x[1:3], x[[3]] = 1.7, mg.tensor([2.9, 3.9]), np.float64(9.5)
    assert x.tolist() == [1, 2, 3, 9]
    y = mg.zeros(2, 2)
    y[:, 0], y[0, 1] = [1, 2], mg.tensor(5, dtype=mg.float64)
    assert y.tolist() == [[1, 5], [2, 0]] and y.dtype is mg.float32


def test_overlapping_parts_are_written_as_if_copied_first():
    for requires_grad in (False, True):
        x = mg.arange(5, dtype=mg.float32, requires_grad=requires_grad) * 1
        x[1:] = x[:-1]
        assert x.tolist() == [0, 0, 1, 2, 3]
        x[[0, 1, 2]] = x[2:]
        assert x.tolist() == [1, 2, 3, 2, 3]


def test_leaves_are_written_to_under_no_grad_only():
    w = mg.ones(3, requires_grad=True)
    for index in (0, [0], slice(1, None), w > 0):
        with pytest.raises(
            RuntimeError, match=r"\[setitem\] a leaf that requires a gradient cannot be changed in place"
        ):
            w[index] = 2
        with mg.no_grad():
            w[index] = 2
    assert w.tolist() == [2, 2, 2] and w.is_leaf and w._version == 4


def test_a_saved_array_that_changed_is_noticed():
    a = mg.ones(3, requires_grad=True)
    for index in (0, [0], mg.tensor([True, False, False])):
        x = a * 2
        y = (x * x).sum()
        x[index] = 5
        with pytest.raises(
            RuntimeError, match=r"\[Mul\] .* was changed in place by \[setitem\] at .*test_indexing.py:\d+"
        ):
            y.backward()


def test_an_index_that_changed_is_noticed():
    a, index = mg.ones(3, requires_grad=True), mg.tensor([0, 1])
    read, written = a[index], (a * 1).index_put((index,), a[:2])
    index += 1
    for y in (read, written):
        with pytest.raises(RuntimeError, match="was changed in place"):
            y.sum().backward()


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
    x = mg.zeros(3, 4)
    for name, use in (("getitem", lambda: x[index]), ("setitem", lambda: x.__setitem__(index, 1))):
        with pytest.raises(IndexError) as error:
            use()
        assert str(error.value).startswith(f"[{name}] ") and message in str(error.value)


def test_other_errors():
    x = mg.zeros(3, 4)
    with pytest.raises(TypeError, match="cannot be deleted"):
        del x[0]
    with pytest.raises(
        RuntimeError, match=r"\[setitem\] a value of shape \(3,\) does not fit into x\[index\] of shape \(4,\)"
    ):
        x[0] = mg.ones(3)
    with pytest.raises(RuntimeError, match=r"\[index_put_\] a value of shape \(3,\) does not fit"):
        x.index_put_((mg.tensor([0]),), mg.ones(3), accumulate=True)
    with pytest.raises(RuntimeError, match="share memory"):
        x[:1].expand(3, 4)[0] = 1
    assert x.equal(mg.zeros(3, 4))
