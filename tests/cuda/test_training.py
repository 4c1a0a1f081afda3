"""Whole nets trained on the simulator come to the CPU's losses, and run on our kernels."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.kernel import Kernel

PATTERNS = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)  # one for each class


def batch(step, n=16):
    rng = np.random.default_rng(step)
    targets = rng.integers(0, 4, n)
    images = PATTERNS[targets] + 0.3 * rng.normal(size=(n, 1, 8, 8)).astype(np.float32)
    return mg.tensor(images, dtype=mg.float32), mg.tensor(targets)


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def cnn():
    convolution = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2)]
    return nn.Sequential(*convolution, nn.Flatten(), nn.Dropout(0.2), nn.LayerNorm(64), nn.Linear(64, 4))


NETS = [
    (mlp, lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.9), 12),
    (cnn, lambda p: mg.optim.AdamW(p, lr=0.02), 6),
]


def train(device, net, make, steps):
    mg.manual_seed(0)
    model = net().to(device)
    optimizer, losses = make(model.parameters()), []
    for step in range(steps):
        images, targets = (t.to(device) for t in batch(step))
        loss = nn.functional.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("net, make, steps", NETS, ids=["mlp", "cnn"])
def test_losses_there_are_those_here(net, make, steps):
    here, there = (train(device, net, make, steps) for device in ("cpu", "cuda-sim"))
    np.testing.assert_allclose(there, here, 2e-3)
    assert there[-1] < 0.7 * there[0]


def test_a_training_step_runs_on_cuda_kernels(monkeypatch):
    ran, call = set(), Kernel.__call__
    monkeypatch.setattr(Kernel, "__call__", lambda kernel, *args: (ran.add(kernel.name), call(kernel, *args))[1])
    train("cuda-sim", *NETS[1][:2], 1)
    monkeypatch.undo()
    assert ran >= {"conv2d_forward", "max_pool2d_backward", "adam_step", "cross_entropy_backward"}
    assert ran - set(kernels(SimArray)) == set(), "kernels that the step needs and that have no CUDA body"
