"""nll_loss: of log-probabilities and class indices; backward writes one number per row into zeros."""

from benchmarks.ops import Op


def row(rows, classes):
    target = lambda rng: rng.integers(0, classes, rows)  # noqa: E731
    call = lambda fw, x, t: fw.nn.functional.nll_loss(x, t)  # noqa: E731
    return Op("nll_loss", call, [(rows, classes), target], moved=(2 * rows, rows * classes))


ROWS = [row(2048, 1000), row(64, 10)]
