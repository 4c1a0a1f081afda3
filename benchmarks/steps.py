"""steps: whole training steps (forward, loss, backward, optimizer) beside PyTorch eager on the same data.

Each pair of models starts from the same weights, and the first losses are compared before anything is timed. The
floor is arithmetic alone: 6 flops per weight and sample over the machine's measured matrix-product rate.
"""

import time

import numpy as np

import minigrad as mg
from benchmarks.measure import duel


class ConvNet:
    """Builds the same ConvNet in either framework."""

    def __new__(cls, nn):
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(5408, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )


def mlp(nn):
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


WORKLOADS = {  # name -> (model, input shape, optimizer, its arguments, millions of multiply-adds per sample forward)
    "MLP 784-256-128-10, batch 64, SGD": (mlp, (64, 784), "SGD", {"lr": 0.01, "momentum": 0.9}, 0.2348),
    "MLP 784-256-128-10, batch 64, Adam": (mlp, (64, 784), "Adam", {"lr": 0.001}, 0.2348),
    "ConvNet of MNIST, batch 64, Adam": (ConvNet, (64, 1, 28, 28), "Adam", {"lr": 0.001}, 0.8879),
}


def matmul_rate(seconds=0.3):
    """Flops per second of the best matrix product at hand (1024^3), the ceiling for the floors."""
    a, b = mg.randn(1024, 1024), mg.randn(1024, 1024)
    best, end = 1.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def step_of(framework, model, optimizer, x, y):
    loss_of = framework.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def rows(torch):
    rng, rate = np.random.default_rng(0), matmul_rate()
    for name, (build, shape, kind, options, millions) in WORKLOADS.items():
        x, y = rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0])
        model = build(mg.nn)
        ours = step_of(mg, model, getattr(mg.optim, kind)(model.parameters(), **options), mg.tensor(x), mg.tensor(y))
        rivals = {}
        if torch:
            twin = build(torch.nn)
            twin.load_state_dict({k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()})
            optimizer = getattr(torch.optim, kind)(twin.parameters(), **options)
            theirs = step_of(torch, twin, optimizer, torch.tensor(x), torch.tensor(y))
            np.testing.assert_allclose(ours().item(), theirs().item(), rtol=1e-4)
            rivals = {f"torch, {n} threads": with_threads(torch, n, theirs) for n in sorted({1, mg.get_num_threads()})}
        yield duel("step", name, ours, rivals, seconds=0.02, unit="ms", floor=6e9 * millions * 64 / rate)


def with_threads(torch, n, call):
    def run():
        if torch.get_num_threads() != n:
            torch.set_num_threads(n)
        call()

    return run
