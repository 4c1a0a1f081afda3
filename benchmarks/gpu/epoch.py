"""epoch: an epoch of the MNIST MLP over images that lie there already, on the GPU and on the CPU, by the clock."""

import time

import numpy as np

import minigrad as mg
from benchmarks.gpu.place import SMOKE
from benchmarks.measure import row_of
from benchmarks.models import mlp
from minigrad.vision import datasets

BATCH = 64


def rows(place, torch):
    images = 60000 if place.real else 128
    raw = datasets.MNIST("data")
    x = raw.data.numpy()[:images].reshape(images, 784).astype(np.float32) / 127.5 - 1
    y = raw.targets.numpy()[:images]
    epochs = {name: epoch(name, x, y) for name in (place.name, "cpu")}
    losses = {name: run() for name, run in epochs.items()}  # not counted
    np.testing.assert_allclose(losses[place.name], losses["cpu"], rtol=0.02, err_msg="the mean loss of the first epoch")
    times = {name: [seconds(run) for _ in range(3 if place.real else 1)] for name, run in epochs.items()}
    rivals = {"minigrad on the CPU": times["cpu"]}
    row = row_of("epoch", f"MNIST MLP, an epoch of {images} images", "s", times[place.name], rivals)
    row.note = SMOKE if place.smoke else ""
    yield row


def epoch(device, x, y):
    """One more epoch; gives the mean loss, which waits for all of it."""
    mg.manual_seed(0)
    model = mlp(mg).to(device)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = mg.tensor(x).to(device), mg.tensor(y).to(device)

    def run():
        total = mg.zeros((), device=device)
        for begin in range(0, len(x), BATCH):
            optimizer.zero_grad()
            loss = mg.nn.functional.cross_entropy(model(x[begin : begin + BATCH]), y[begin : begin + BATCH])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item() / -(-len(x) // BATCH)

    return run


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
