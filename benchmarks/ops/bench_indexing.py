"""indexing: rows picked by an index, with the gradient that adds up where one is picked twice; elements by a mask."""

from benchmarks.ops import Op


def rows(n, picked, cols):
    index = lambda rng: rng.integers(0, n, picked)  # noqa: E731
    moved = picked * cols, 3 * picked * cols + n * cols
    return Op(
        f"x[index] of {picked} rows", lambda fw, x, i: x[i], [(n, cols), index], moved=tuple(2 * m for m in moved)
    )


ROWS = [rows(50257, 2048, 192), rows(1000, 500, 64)]
ROWS += [Op("x[mask]", lambda fw, x, m: x[m], [(n,), lambda rng, n=n: rng.random(n) < 0.5]) for n in (1 << 20, 5000)]
