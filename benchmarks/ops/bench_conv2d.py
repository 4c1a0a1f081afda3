"""conv2d: the convolutions of the workloads, and a block of one with its norm, relu and pooling."""

from benchmarks.ops import Op


def conv(n, before, after, size, padding=1, kernel=3, groups=1):
    out = size + 2 * padding - kernel + 1
    return Op(
        f"conv2d {kernel}x{kernel}, {n}x{before}x{size}x{size} to {after}{f', {groups} groups' if groups > 1 else ''}",
        lambda fw, x, w, b: fw.nn.functional.conv2d(x, w, b, padding=padding, groups=groups),
        [(n, before, size, size), (after, before // groups, kernel, kernel), (after,)],
        named=True,
        flops=2 * n * out * out * after * before // groups * kernel * kernel,
    )


def block(fw):
    return [fw.nn.Conv2d(32, 64, 3, padding=1), fw.nn.BatchNorm2d(64), fw.nn.ReLU(), fw.nn.MaxPool2d(2)]


BLOCK, KEPT = 2 * 64 * 256 * 64 * 32 * 9, (64 * (32 * 256 + 64 * 64), 64 * 3 * (32 * 256 + 64 * 64))
ROWS = [
    Op("Conv2d + BatchNorm2d + ReLU + MaxPool2d", block, [(64, 32, 16, 16)], layers=True, flops=BLOCK, moved=KEPT),
    conv(64, 1, 32, 28, padding=0),
    conv(64, 3, 32, 32),
    conv(64, 32, 64, 16),
    conv(64, 64, 128, 8),
    conv(64, 128, 128, 8, padding=0, kernel=1),
    conv(64, 64, 64, 16, groups=64),
    conv(1, 8, 8, 12),
]
