"""Indices and targets out of bounds: refused on the simulator as on the CPU; on a GPU, where nobody looks, kernels read
nothing out of bounds, and what comes of it is NaN or zeros."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import checks
from minigrad.backend.devices import kernels, move
from minigrad.backend.simulated import SimArray
from minigrad.nn import functional as F

BAD = np.array([1, 9, -1, 0])


def on(device, array):
    return mg.tensor(array, device=device)


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_a_target_that_is_no_class(device, loss):
    with pytest.raises(IndexError, match=r"target 9 is no class: expected 0 to 2"):
        loss(on(device, np.zeros((4, 3), np.float32)), on(device, BAD))


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
def test_an_index_outside_the_table(device):
    with pytest.raises(IndexError, match="index 9 out of range for a table of 3 rows"):
        F.embedding(on(device, BAD), on(device, np.zeros((3, 2), np.float32)))


F32 = np.float32
X = np.arange(12, dtype=F32).reshape(4, 3)
UNSEEN = [  # kernel, outputs, inputs, what comes of it
    ("embedding_forward", [np.zeros((4, 3), F32)], [X, BAD], [X[[1, 0, 0, 0]] * [[1], [0], [0], [1]]]),
    ("nll_loss_forward", [np.zeros(4, F32), None], [X.reshape(4, 3, 1), BAD, None, -9], [[-1, np.nan, np.nan, -9]]),
    ("nll_loss_forward", [np.zeros((), F32), None], [X.reshape(4, 3, 1), BAD, None, -9], [np.nan]),
    ("nll_loss_backward", [np.ones((4, 3, 1), F32)], [X[:, 0] * 0 + 1, None, BAD, None, -9],
     [-np.eye(10)[BAD][:, :3, None] * [[[1]], [[0]], [[0]], [[1]]]]),
    ("cross_entropy_forward", [np.zeros((), F32), np.zeros(4), None], [X, BAD, X[0], -9, 0.1], [np.nan]),
]  # fmt: skip


@pytest.mark.parametrize("name, outs, inputs, expected", UNSEEN, ids=lambda v: v if isinstance(v, str) else "")
def test_kernels_stay_within_bounds(name, outs, inputs, expected, monkeypatch):
    kernels(SimArray)
    for module in ("nll_loss", "cross_entropy", "embedding"):
        launch = __import__(f"minigrad.cuda.launches.{module}", fromlist=["x"])
        for check in ("check_bounds", "check_targets"):
            monkeypatch.setattr(launch, check, lambda *args: None, raising=False)
    arrays = [move(np.array(a), "cuda-sim") if isinstance(a, np.ndarray) else a for a in (*outs, *inputs)]
    with mg.cuda.simulate(mode="check"):
        kernels(SimArray)[name](*arrays)
    for found, e in zip(arrays, expected, strict=False):
        np.testing.assert_allclose(np.asarray(found), e)


class Unseen:
    """Stands for an array whose values cannot be looked at without waiting."""

    size = 4

    def __getattr__(self, name):
        raise AssertionError(f"{name} would wait")


def test_what_lies_on_a_gpu_is_not_looked_at():
    checks.check_bounds("op", Unseen(), 3, "a table")
    checks.check_targets("op", Unseen(), 3, -1)
    with pytest.raises(IndexError):
        checks.check_bounds("op", BAD, 3, "a table")
