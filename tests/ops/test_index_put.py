"""x[index] = v and index_put, against numpy: random index expressions for writing and its gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import check_backwards, gradcheck, gradgradcheck
from tests.ops.harness import Case, check
from tests.ops.indices import cases, index, numpy_reads


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


CASES = [
    Case(
        "index_put",
        lambda x, i, v: mg.index_put(x, (i,), v),
        [
            ((6, 2), lambda rng: rng.permutation(6)[:3], (3, 2)),
            ((600, 70), lambda rng: rng.permutation(600)[:500], (70,)),
        ],
        torch=lambda torch, x, i, v: torch.index_put(x, (i,), v),
        kernels=("put_forward",),
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
    for place in (0, [0], slice(1, None), w > 0):
        with pytest.raises(
            RuntimeError, match=r"\[setitem\] a leaf that requires a gradient cannot be changed in place"
        ):
            w[place] = 2
        with mg.no_grad():
            w[place] = 2
    assert w.tolist() == [2, 2, 2] and w.is_leaf and w._version == 4


def test_a_saved_array_that_changed_is_noticed():
    a = mg.ones(3, requires_grad=True)
    for place in (0, [0], mg.tensor([True, False, False])):
        x = a * 2
        y = (x * x).sum()
        x[place] = 5
        with pytest.raises(
            RuntimeError, match=r"\[Mul\] .* was changed in place by \[setitem\] at .*test_index_put.py:\d+"
        ):
            y.backward()


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


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.T, lambda x: x[:, ::2], lambda x: x.flip(0)[1:, 1:]])
def test_the_last_write_stays_in_any_layout(view, device):
    x, v = np.arange(20, dtype=np.float32).reshape(4, 5), np.array([[7.0], [8.0], [9.0]], np.float32)
    there, values = mg.tensor(x, device=device), mg.tensor(v, device=device)
    part, expected = view(there), view(mg.tensor(x)).numpy().copy()
    expected[[1, -1, 1]] = v
    with mg.cuda.simulate(mode="check"):
        part[mg.tensor([1, -1, 1], device=device)] = values
        np.testing.assert_array_equal(part.cpu().numpy(), expected)
        np.testing.assert_array_equal(part[mg.tensor([[1], [0]], device=device)].cpu().numpy(), expected[[[1], [0]]])
