"""layer_norm: over the last dimension, with weight and bias."""

from benchmarks.ops import Op


def norm(rows, cols):
    call = lambda fw, x, w, b: fw.nn.functional.layer_norm(x, (cols,), w, b)  # noqa: E731
    return Op("layer_norm", call, [(rows, cols), (cols,), (cols,)])


ROWS = [norm(2048, 192), norm(1024, 256), norm(4096, 768), norm(64, 256)]
