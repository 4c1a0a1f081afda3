"""index_put: rows written over where an index says, each once, and added up where it names some twice."""

from benchmarks.ops import Op


def rows(n, written, cols, accumulate):
    index = (lambda rng: rng.integers(0, n, written)) if accumulate else (lambda rng: rng.permutation(n)[:written])
    call = lambda fw, x, v, i: x.index_put((i,), v, accumulate)  # noqa: E731
    name = f"index_put of {written} rows{', added' if accumulate else ''}"
    return Op(name, call, [(n, cols), (written, cols), index])


ROWS = [rows(*shape, accumulate) for shape in ((20000, 2048, 192), (1000, 500, 64)) for accumulate in (False, True)]
