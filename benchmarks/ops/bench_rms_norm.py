"""rms_norm: over the last dimension, with a weight."""

from benchmarks.ops import Op


def norm(rows, cols):
    call = lambda fw, x, w: fw.nn.functional.rms_norm(x, (cols,), w, 1e-5)  # noqa: E731
    return Op("rms_norm", call, [(rows, cols), (cols,)])


ROWS = [norm(2048, 192), norm(1024, 256), norm(4096, 768), norm(64, 256)]
