"""linear_fused: the layer with what follows it in a Sequential, in one pass."""

from benchmarks.ops import Op


def followed(m, k, n, name):
    layers = lambda fw: [fw.nn.Linear(k, n), getattr(fw.nn, name)()]  # noqa: E731
    return Op(f"Linear({k}, {n}) + {name}", layers, [(m, k)], layers=True, flops=2 * m * k * n)


ROWS = [followed(64, 784, 256, "ReLU"), followed(1024, 256, 1024, "GELU"), followed(64, 128, 10, "ReLU")]
