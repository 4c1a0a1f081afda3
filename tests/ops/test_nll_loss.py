"""nll_loss of class indices."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import Case, check
from tests.ops.inputs import beside
from tests.ops.test_cross_entropy import CLASSES, SHAPES, SOME_IGNORED, WEIGHT, drawn, names


def expected(x, target, weight=None, ignore_index=-100, reduction="mean"):
    rows = np.moveaxis(x[None] if x.ndim == 1 else x, 1, -1)
    rows = rows.reshape(-1, rows.shape[-1])
    flat = target.reshape(-1)
    weights = np.array([0.0 if t == ignore_index else 1.0 if weight is None else weight[t] for t in flat])
    losses = np.array([-w * row[t] if w else 0.0 for w, row, t in zip(weights, rows, flat, strict=True)])
    if reduction == "none":
        return losses.reshape(target.shape)
    return losses.sum() / (weights.sum() if reduction == "mean" else 1)


def row(name, shapes, weighted=False, drawn=None, **options):
    return Case(
        name,
        lambda x, t: F.nll_loss(x, t, beside(x, WEIGHT) if weighted else None, **options),
        shapes,
        drawn=drawn,
        numpy=lambda x, t: expected(x, t, WEIGHT if weighted else None, **options),
        torch=lambda torch, x, t: torch.nn.functional.nll_loss(
            x, t, torch.tensor(WEIGHT) if weighted else None, **options
        ),
        kernels=("nll_loss_forward", "nll_loss_backward"),
    )


CASES = [row(r, [*SHAPES, ((3, 700), names(700, 3))], drawn=drawn(), reduction=r) for r in ("mean", "sum", "none")]
CASES += [row(f"ignored, {r}", SOME_IGNORED, reduction=r) for r in ("mean", "sum", "none")]
CASES += [row(f"weight, {r}", SHAPES + SOME_IGNORED, weighted=True, reduction=r) for r in ("mean", "sum", "none")]
CASES += [row("a class is ignored", SHAPES, ignore_index=1, reduction="none")]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


def test_only_the_class_of_the_target_counts():
    x = mg.tensor([[0.0, -np.inf], [np.nan, -1.0]], requires_grad=True)
    loss = F.nll_loss(x, mg.tensor([0, 1]))
    loss.backward()
    assert loss.item() == 0.5
    assert x.grad.tolist() == [[-0.5, 0.0], [0.0, -0.5]]


def test_nothing_but_ignored_rows():
    x = mg.ones(2, 3).requires_grad_()
    loss = F.nll_loss(x, mg.tensor([-100, -100]))
    loss.backward()
    assert np.isnan(loss.item()) and not x.grad.numpy().any()


X, T = mg.ones(3, CLASSES), mg.tensor([0, 1, 2])
ERRORS = [
    (X, mg.tensor([0, 1, 5]), {}, IndexError, r"\[nll_loss.*\] target 5 is no class: expected 0 to 4"),
    (X, mg.tensor([0, 1]), {}, ValueError, r"\[nll_loss\] found input \(3, 5\) and target \(2,\), expected one batch"),
    (mg.ones(2, 3, 4, 5), mg.ones(2, 4, 4).long(), {}, RuntimeError, r"expected \(N, C, d1, ...\) and \(N, d1, ...\)"),
    (X, X, {}, RuntimeError, r"\[nll_loss\] class indices must be int64 or uint8, found a target of float32"),
    (X.long(), T, {}, RuntimeError, r"\[nll_loss\] input must be floating, found int64"),
    (X, T, {"reduction": "no"}, ValueError, r"\[nll_loss\] 'no' is not a valid reduction"),
    (X, T, {"weight": mg.ones(3)}, RuntimeError, r"\[nll_loss\] weight has shape \(3,\)"),
]


@pytest.mark.parametrize(("x", "target", "options", "error", "message"), ERRORS)
@pytest.mark.cpu_only("a kernel on a GPU raises nothing")
def test_errors(x, target, options, error, message):
    with pytest.raises(error, match=message):
        F.nll_loss(x, target, **options)
