"""where: elements of one tensor or another."""

from benchmarks.ops import Op


def row(shape):
    mask = lambda rng: rng.random(shape) < 0.5  # noqa: E731
    size = shape[0] * shape[1]
    call = lambda fw, x, y, m: fw.where(m, x, y)  # noqa: E731
    return Op("where", call, [shape, shape, mask], moved=(3.25 * size, 6.5 * size))


ROWS = [row((2048, 768)), row((64, 256))]
