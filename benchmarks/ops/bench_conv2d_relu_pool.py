"""conv2d_relu_pool: the first layers of a ConvNet, of which a Sequential makes one pass where channels are few."""

import numpy as np

from benchmarks.ops import Op


def row(n, before, after, size):
    layers = lambda fw: [fw.nn.Conv2d(before, after, 3), fw.nn.ReLU(), fw.nn.MaxPool2d(2)]  # noqa: E731
    pictures = lambda rng: rng.uniform(-1, 1, (n, before, size, size)).astype(np.float32)  # noqa: E731
    out = size - 2
    moved = n * (before * size**2 + after * (out // 2) ** 2)  # data: nobody asks for the gradient of the pictures
    return Op(
        f"Conv2d({before}, {after}, 3) + ReLU + MaxPool2d(2), {n}x{before}x{size}x{size}",
        layers,
        [pictures],
        layers=True,
        flops=2 * n * out * out * after * before * 9,
        moved=(moved, 2 * moved),
    )


ROWS = [row(64, 1, 32, 28), row(64, 3, 32, 32), row(1, 1, 4, 12)]
