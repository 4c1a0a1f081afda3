"""cross_entropy: of class indices; forward reads the logits, backward reads them again and writes their gradient."""

from benchmarks.ops import Op


def row(rows, classes):
    target = lambda rng: rng.integers(0, classes, rows)  # noqa: E731
    call = lambda fw, x, t: fw.nn.functional.cross_entropy(x, t)  # noqa: E731
    size = rows * classes
    return Op("cross_entropy", call, [(rows, classes), target], moved=(size, 3 * size))


ROWS = [row(64, 10), row(2048, 1000), row(256, 50257)]
