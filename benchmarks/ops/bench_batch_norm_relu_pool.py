"""batch_norm_relu_pool: the ends of the three blocks, of which a Sequential makes one op."""

from benchmarks.ops import Op


def row(n, c, size):
    whole, pooled = n * c * size**2, n * c * (size // 2) ** 2
    return Op(
        f"BatchNorm2d + ReLU + MaxPool2d(2), {n}x{c}x{size}x{size}",
        lambda fw: [fw.nn.BatchNorm2d(c), fw.nn.ReLU(), fw.nn.MaxPool2d(2)],
        [(n, c, size, size)],
        layers=True,
        named=True,
        moved=(whole + pooled, 3 * whole + 2 * pooled),
    )


ROWS = [row(64, 32, 32), row(64, 64, 16), row(64, 128, 8), row(8, 16, 8)]
