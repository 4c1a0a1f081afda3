"""max_pool2d: 2x2 windows on the feature maps of the workloads, 3x3 ones that overlap."""

from benchmarks.ops import Op


def pool(n, c, size, kernel=2, stride=2):
    out = (size - kernel) // stride + 1
    elements, kept = n * c * size * size, n * c * out * out
    return Op(
        f"max_pool2d {kernel}x{kernel}",
        lambda fw, x: fw.nn.functional.max_pool2d(x, kernel, stride),
        [(n, c, size, size)],
        moved=(elements + kept, 2 * elements + 2 * kept),
    )


ROWS = [pool(64, 32, 26), pool(64, 64, 16), pool(64, 32, 32, 3, 2), pool(1, 8, 12)]
