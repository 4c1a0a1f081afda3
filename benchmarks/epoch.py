"""epoch: one epoch of the MNIST MLP over 60,000 images, shuffling, conversion and normalisation included.

PyTorch runs the same program with its DataLoader over the same arrays, each sample converted as torchvision's
ToTensor and Normalize do.
"""

import time

import minigrad as mg
from benchmarks.measure import Row
from benchmarks.steps import mlp
from minigrad.utils.data import DataLoader
from minigrad.vision import datasets, transforms


def ours():
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(datasets.MNIST("data", transform=transform), batch_size=64, shuffle=True)
    return run(mg, mlp(mg.nn), loader)


def theirs(torch):
    raw = datasets.MNIST("data")
    images, labels = torch.tensor(raw.data.numpy()), torch.tensor(raw.targets.numpy())

    class Samples(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, i):
            return (images[i].unsqueeze(0).float().div(255) - 0.5) / 0.5, int(labels[i])

    return run(torch, mlp(torch.nn), torch.utils.data.DataLoader(Samples(), batch_size=64, shuffle=True))


def run(framework, model, loader):
    """Seconds for the second of two epochs."""
    optimizer = framework.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = framework.nn.CrossEntropyLoss()
    for _ in range(2):
        start = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x.view(-1, 784)), y)
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
    return seconds


def rows(torch):
    times = sorted(ours() for _ in range(3))
    row = Row("epoch", "MNIST MLP, 60,000 images, loading included", "s", times[1], times[0], times[2])
    if torch:
        row.rival, row.theirs = "torch", theirs(torch)
        row.ratio = row.theirs / row.ours
    yield row
