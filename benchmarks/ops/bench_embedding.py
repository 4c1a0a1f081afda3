"""embedding: rows of a matrix by index; backward adds rows of the gradient to zeros."""

from benchmarks.ops import Op


def row(tokens, vocabulary, width):
    index = lambda rng: rng.integers(0, vocabulary, tokens)  # noqa: E731
    taken, table = tokens * width, vocabulary * width
    call = lambda fw, weight, i: fw.nn.functional.embedding(i, weight)  # noqa: E731
    return Op(f"embedding of {tokens}", call, [(vocabulary, width), index], moved=(2 * taken, 3 * taken + table))


ROWS = [row(2048, 1000, 192), row(1024, 50257, 768), row(8, 100, 16)]
