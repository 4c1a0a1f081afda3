"""epoch: an epoch of the MNIST program of examples/listings/simplenn.py, shuffling and conversion of images included.

PyTorch runs the same program. Its data set does sample by sample what torchvision's MNIST, ToTensor and Normalize do
(an array becomes a PIL image, that a float tensor, that a normalised copy), and its DataLoader collates the samples.
The listing's loader has no workers; both sides run it so.
"""

import time

import numpy as np

import minigrad as mg
from benchmarks import measure
from benchmarks.measure import Foreign, row_of
from benchmarks.models import mlp
from benchmarks.workloads import plainly
from minigrad.utils.data import DataLoader, Subset
from minigrad.vision import datasets, transforms

NAME = "MNIST MLP, an epoch of 60,000 images, loading included"


def rows(torch):
    """Epochs in turn; the first of each is not counted. A quick run takes a part of the images and scales."""
    images = 640 if measure.effort.quick else 60000
    contenders = {"ours": ours(images), "captured": ours(images, mg.capture)}
    for n in sorted({1, mg.get_num_threads()}) if torch else ():
        contenders[f"torch, {n} thread{'s'[: n > 1]}"] = theirs(torch, images, n)
    times = {name: [] for name in contenders}
    with Foreign() as foreign:
        for _ in range(1 if measure.effort.quick else 3):
            for name, epoch in contenders.items():
                times[name].append(timed(epoch) * 60000 / images)
    both = {NAME: times.pop("ours"), f"{NAME}, captured": times.pop("captured")}
    for name, seconds in both.items():
        row = row_of("epoch", name, "s", seconds, times)
        row.load, row.note = foreign.cores, f"{images} images, scaled" if images < 60000 else ""
        yield row


def timed(epoch):
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start


def ours(images, capture=plainly):
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    samples = datasets.MNIST("data", transform=transform)
    samples = Subset(samples, range(images)) if images < len(samples) else samples
    return program(mg, DataLoader(samples, batch_size=64, shuffle=True), capture)


def theirs(torch, images, threads):
    loader = torch.utils.data.DataLoader(samples_of(torch, images), batch_size=64, shuffle=True)
    epoch = program(torch, loader)

    def run():
        torch.set_num_threads(threads)
        return epoch()

    return run


def samples_of(torch, images):
    """MNIST for PyTorch: what torchvision computes for each sample, step by step."""
    raw = datasets.MNIST("data")
    data, targets = torch.tensor(raw.data.numpy()[:images]), torch.tensor(raw.targets.numpy()[:images])
    from PIL import Image

    def to_tensor(picture):
        bands = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(picture.size[1], picture.size[0], 1)
        return bands.permute(2, 0, 1).contiguous().to(torch.float32).div(255)

    def normalize(x, mean=(0.5,), std=(0.5,)):
        mean, std = (torch.as_tensor(v, dtype=x.dtype) for v in (mean, std))
        return x.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))

    class Samples(torch.utils.data.Dataset):
        def __len__(self):
            return len(data)

        def __getitem__(self, i):
            return normalize(to_tensor(Image.fromarray(data[i].numpy()))), int(targets[i])

    return Samples()


def program(fw, loader, capture=plainly):
    """The training loop of the listing as a function that runs one epoch and returns its mean loss."""
    model, criterion = mlp(fw), fw.nn.CrossEntropyLoss()
    optimizer = fw.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    @capture
    def step(inputs, targets):
        optimizer.zero_grad()
        loss = criterion(model(inputs.view(-1, 784)), targets)
        loss.backward()
        optimizer.step()
        return loss

    def epoch():
        return sum(step(inputs, targets).item() for inputs, targets in loader) / len(loader)

    return epoch
