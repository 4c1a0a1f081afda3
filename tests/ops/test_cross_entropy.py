"""cross_entropy of class indices and of probabilities."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check

CLASSES = 5
WEIGHT = np.array([0.5, 2.0, 1.0, 0.25, 4.0])  # exact in every dtype


def names(classes, *shape, ignored=None):
    """Indices of classes in this shape; every third is `ignored`, if that is given."""

    def make(rng):
        target = np.asarray(rng.integers(0, classes, shape))
        if ignored is not None:
            target.reshape(-1)[::3] = ignored
        return target

    return make


def expected(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """The definition, one position after the other."""
    x = x[None] if x.ndim == 1 else x
    rows, losses, total = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]), [], 0.0
    weight = np.ones(x.shape[1]) if weight is None else weight
    for row, t in zip(rows, target.reshape(-1), strict=True):
        each = weight * (np.log(np.exp(row - row.max()).sum()) + row.max() - row)
        counts = t != ignore_index
        losses.append(((1 - label_smoothing) * each[t] + label_smoothing * each.mean()) if counts else 0.0)
        total += weight[t] if counts else 0.0
    if reduction == "none":
        return np.reshape(losses, target.shape)
    return np.sum(losses) / (total if reduction == "mean" else 1)


def row(name, shapes, weighted=False, drawn=None, kernels=None, **options):
    """A row whose options are those of cross_entropy."""

    def function(x, t):
        weight = mg.tensor(WEIGHT, dtype=x.dtype, device=x.device) if weighted else None
        return F.cross_entropy(x, t, weight=weight, **options)

    def torch(torch, x, t):
        weight = torch.tensor(WEIGHT) if weighted else None
        return torch.nn.functional.cross_entropy(x, t, weight=weight, **options)

    def numpy(x, t):
        return expected(x, t, WEIGHT if weighted else None, **options)

    kernels = ("cross_entropy_forward", "cross_entropy_backward")
    return Case(
        name, function, shapes, drawn=drawn, numpy=numpy, torch=torch, kernels=kernels, rtol=4e-6, atol=4e-6, ulps=2
    )


@st.composite
def drawn(draw):
    n, c = draw(st.integers(1, 6)), draw(st.integers(1, 70))
    rest = draw(st.lists(st.integers(1, 3), max_size=2))
    return (n, c, *rest), names(c, n, *rest)


SHAPES = [((7, CLASSES), names(CLASSES, 7)), ((CLASSES,), names(CLASSES)), ((2, CLASSES, 3), names(CLASSES, 2, 3))]
SHAPES += [((2, CLASSES, 3, 2), names(CLASSES, 2, 3, 2)), ((1, CLASSES), names(CLASSES, 1))]
SIZES = [((17, 10), names(10, 17)), ((3, 1), names(1, 3)), ((3, 65), names(65, 3)), ((2, 129), names(129, 2))]
SIZES += [((20011, 10), names(10, 20011)), ((301, 700), names(700, 301)), ((3, 50257), names(50257, 3))]
SOME_IGNORED = [((7, CLASSES), names(CLASSES, 7, ignored=-100)), ((2, CLASSES, 3), names(CLASSES, 2, 3, ignored=-100))]
LARGE = [((7001, CLASSES), names(CLASSES, 7001))]

CASES = [row("indices", SHAPES + SIZES, drawn=drawn())]
CASES += [row(f"reduction {r}", SHAPES + LARGE, drawn=drawn(), reduction=r) for r in ("sum", "none")]
CASES += [row(f"ignored, {r}", SOME_IGNORED, reduction=r) for r in ("mean", "sum", "none")]
CASES += [row(f"weight, {r}", SHAPES + LARGE, weighted=True, reduction=r) for r in ("mean", "none")]
CASES += [row(f"smoothing {s}", SHAPES + SIZES, drawn=drawn(), label_smoothing=s) for s in (0.1, 1.0)]
CASES += [
    row(f"all of it, {r}", SOME_IGNORED + LARGE, weighted=True, reduction=r, label_smoothing=0.25)
    for r in ("mean", "sum", "none")
]
CASES += [row("a class is ignored", SHAPES, ignore_index=1, reduction="none")]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


# Probabilities -------------------------------------------------------------------------------------------------------


def expected_of_probabilities(x, q, weight, reduction, label_smoothing):
    dim = min(x.ndim - 1, 1)
    logs = x - np.log(np.exp(x).sum(dim, keepdims=True))
    q = q * (1 - label_smoothing) + label_smoothing / x.shape[dim]
    losses = -(q * logs * np.reshape(weight, (-1,) + (1,) * (x.ndim - dim - 1))).sum(dim)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def of_probabilities(reduction, label_smoothing, weighted):
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    shapes = [((CLASSES,),) * 2, ((4, CLASSES),) * 2, ((2, CLASSES, 3),) * 2]

    def function(x, q):
        weight = mg.tensor(WEIGHT, dtype=x.dtype, device=x.device) if weighted else None
        return F.cross_entropy(x, q, weight, **options)

    return Case(
        f"probabilities, {reduction}, smoothing {label_smoothing}" + ", weight" * weighted,
        function,
        shapes,
        numpy=lambda x, q: expected_of_probabilities(x, q, WEIGHT if weighted else np.ones(CLASSES), **options),
        torch=lambda t, x, q: t.nn.functional.cross_entropy(x, q, t.tensor(WEIGHT) if weighted else None, **options),
        rtol=1e-5, atol=1e-5, ulps=8, extremes=False,
    )  # fmt: skip


PROBABILITIES = [of_probabilities(r, s, w) for r in ("mean", "sum", "none") for s, w in ((0.0, False), (0.2, True))]


@pytest.mark.parametrize("case", PROBABILITIES, ids=str)
def test_probabilities(case):
    check(case)


def test_probabilities_of_one_are_indices():
    x, t = mg.randn(6, CLASSES), mg.tensor([0, 1, 2, 3, 4, 0])
    onehot = mg.tensor(np.eye(CLASSES, dtype=np.float32)[t.numpy()])
    np.testing.assert_allclose(F.cross_entropy(x, onehot).item(), F.cross_entropy(x, t).item(), rtol=1e-6)


# Where the definition has its ends -----------------------------------------------------------------------------------


def loss_and_slope(x, target, **options):
    x = mg.tensor(x, requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor(target), **options)
    loss.sum().backward()
    return loss.detach().numpy(), x.grad.numpy()


@TIERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_but_ignored_rows(tier, dtype):
    with mg.tier(tier):
        loss, dx = loss_and_slope(np.ones((2, 3), dtype), [-100, -100])
        assert math.isnan(loss) and not dx.any()
        assert loss_and_slope(np.ones((2, 3), dtype), [7, 7], ignore_index=7, reduction="sum")[0] == 0
        assert math.isnan(loss_and_slope(np.ones((0, 3), dtype), np.zeros(0, np.int64))[0])


@TIERS
@pytest.mark.parametrize("cols", [3, 100])
def test_an_ignored_row_may_hold_anything(cols, tier):
    x = np.zeros((2, cols), np.float32)
    x[0] = np.nan
    with mg.tier(tier):
        loss, dx = loss_and_slope(x, [-100, 1])
    np.testing.assert_allclose(loss, math.log(cols), rtol=1e-6)
    assert not dx[0].any() and np.isfinite(dx).all()


@TIERS
def test_impossible_classes_cost_nothing_unless_they_are_the_target(tier):
    x = np.array([[0.0, -np.inf, 0.0], [0.0, -np.inf, 0.0]], np.float32)
    with mg.tier(tier):
        loss, dx = loss_and_slope(x, [0, 1], reduction="none")
    np.testing.assert_allclose(loss, [math.log(2), np.inf], rtol=1e-6)
    np.testing.assert_allclose(dx, [[-0.5, 0, 0.5], [0.5, -1, 0.5]], atol=1e-6)


@TIERS
@pytest.mark.parametrize("shift", [1e3, -1e4, 1e6])
def test_large_scores_keep_their_gradient(shift, tier):
    x = np.array([[0.0, 1.0, 2.0, 4.0]] * 3) + shift
    exact, slope = loss_and_slope(x, [0, 1, 3])
    with mg.tier(tier):
        loss, dx = loss_and_slope(x.astype(np.float32), [0, 1, 3])
    np.testing.assert_allclose(loss, exact, rtol=1e-6)
    np.testing.assert_allclose(dx, slope, rtol=2e-6)


def test_the_common_path_is_one_kernel_each_way(monkeypatch):
    ran, call = [], mg.kernel.Kernel.__call__
    monkeypatch.setattr(mg.kernel.Kernel, "__call__", lambda k, *args: (ran.append(k.name), call(k, *args))[1])
    F.cross_entropy(mg.tensor(np.eye(4, 3), requires_grad=True), mg.tensor([0, 1, 2, 0])).backward()
    assert ran == ["cross_entropy_forward", "cross_entropy_backward"]


def test_targets_may_be_bytes():
    x = mg.randn(3, 4)
    t = mg.tensor([0, 3, 1])
    assert F.cross_entropy(x, t.to(mg.uint8)).item() == F.cross_entropy(x, t).item()


def test_the_target_is_saved_and_watched():
    x, t = mg.randn(3, 4).requires_grad_(), mg.tensor([0, 3, 1])
    loss = F.cross_entropy(x, t)
    t.zero_()
    with pytest.raises(RuntimeError, match=r"\[CrossEntropy\] an array of shape \(3,\) .* changed in place"):
        loss.backward()


# (input, target, options, error, message)
X, T = mg.ones(3, CLASSES), mg.tensor([0, 1, 2])
ERRORS = [
    (X, mg.tensor([0, 1, 5]), {}, IndexError, r"\[cross_entropy.*\] target 5 is no class: expected 0 to 4"),
    (X, mg.tensor([0, -1, 2]), {}, IndexError, r"target -1 is no class: expected 0 to 4, or ignore_index -100"),
    (X.double(), mg.tensor([0, 9, 2]), {}, IndexError, r"\[cross_entropy\] target 9 is no class"),
    (mg.ones(2, 0), mg.tensor([0, 0]), {}, IndexError, r"target 0 is no class: expected 0 to -1"),
    (
        X,
        mg.tensor([0, 1]),
        {},
        ValueError,
        r"\[cross_entropy\] found input \(3, 5\) and target \(2,\), expected one batch",
    ),
    (
        X,
        mg.ones(3, 2).long(),
        {},
        RuntimeError,
        r"found input \(3, 5\) and target \(3, 2\), expected \(N, C, d1, ...\)",
    ),
    (mg.ones(2, 3, 4), mg.ones(2).long(), {}, RuntimeError, r"expected \(N, C, d1, ...\) and \(N, d1, ...\)"),
    (mg.ones(()), mg.tensor(0), {}, RuntimeError, r"\[cross_entropy\].*holds probabilities, found int64"),
    (X, T.int(), {}, RuntimeError, r"class indices must be int64 or uint8, found a target of int32"),
    (X, mg.ones(3), {}, RuntimeError, r"class indices must be int64 or uint8, found a target of float32"),
    (X, mg.ones(3, CLASSES).long(), {}, RuntimeError, r"a target in the shape of the input holds probabilities, found"),
    (X.long(), T, {}, RuntimeError, r"\[cross_entropy\] input must be floating, found int64"),
    (X, [0, 1, 2], {}, TypeError, r"\[cross_entropy\] target must be a Tensor, found list"),
    (np.ones((3, 5)), T, {}, TypeError, r"\[cross_entropy\] input must be a Tensor, found ndarray"),
    (X, T, {"reduction": "max"}, ValueError, r"'max' is not a valid reduction, expected 'mean', 'sum' or 'none'"),
    (X, T, {"label_smoothing": 1.5}, RuntimeError, r"label_smoothing must lie in \[0, 1\], found 1.5"),
    (X, T, {"weight": mg.ones(4)}, RuntimeError, r"weight has shape \(4,\) and dtype float32, expected \(5,\)"),
    (X, T, {"weight": mg.ones(5).double()}, RuntimeError, r"dtype float64, expected \(5,\) and float32"),
    (X, T, {"weight": mg.ones(5).requires_grad_()}, RuntimeError, r"\[cross_entropy\] is not differentiable in weight"),
    (X, X, {"weight": mg.ones(4)}, RuntimeError, r"found input \(3, 5\) and weight \(4,\)"),
    (X, X, {"ignore_index": 1}, RuntimeError, r"probabilities have no ignore_index, found 1"),
]


@pytest.mark.parametrize(("x", "target", "options", "error", "message"), ERRORS)
@pytest.mark.cpu_only("a kernel on a GPU raises nothing")
def test_errors(x, target, options, error, message):
    with pytest.raises(error, match=message):
        F.cross_entropy(x, target, **options)


@pytest.mark.cpu_only("a kernel on a GPU raises nothing")
def test_no_class_out_of_range_reaches_the_gradient():
    target = np.array([0, 1, 2])
    loss = F.cross_entropy(mg.ones(3, CLASSES).requires_grad_(), mg.from_numpy(target))
    target[1] = 5  # behind the back of the log of writes
    with pytest.raises(IndexError, match="target 5 is no class"):
        loss.backward()
