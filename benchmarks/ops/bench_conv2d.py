"""conv2d: the convolutions of the workloads, alone and with what follows them."""

from benchmarks.ops import Op


def conv(n, before, after, size, padding=1, kernel=3, groups=1):
    out = size + 2 * padding - kernel + 1
    return Op(
        "conv2d" if groups == 1 else f"conv2d, {groups} groups",
        lambda fw, x, w, b: fw.nn.functional.conv2d(x, w, b, padding=padding, groups=groups),
        [(n, before, size, size), (after, before // groups, kernel, kernel), (after,)],
        2 * n * out * out * after * before // groups * kernel * kernel,
    )


def conv_relu_pool(fw, x, w, b):
    F = fw.nn.functional
    return F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2)


FLOPS = 2 * 64 * 26 * 26 * 32 * 9
MOVED = 64 * (784 + 32 * 169), 64 * 2 * (784 + 32 * 169)  # the first layer: no gradient of the pictures
ROWS = [
    Op("conv2d + relu + max_pool2d", conv_relu_pool, [(64, 1, 28, 28), (32, 1, 3, 3), (32,)], FLOPS, moved=MOVED),
    conv(64, 1, 32, 28, padding=0),
    conv(64, 3, 32, 32),
    conv(64, 32, 64, 16),
    conv(64, 64, 128, 8),
    conv(64, 128, 128, 8, padding=0, kernel=1),
    conv(64, 64, 64, 16, groups=64),
    conv(1, 8, 8, 12),
]
