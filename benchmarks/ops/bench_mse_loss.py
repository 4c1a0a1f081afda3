"""mse_loss: the mean of squared differences."""

from benchmarks.ops import Op

ROWS = [
    Op("mse_loss", lambda fw, x, t: fw.nn.functional.mse_loss(x, t), [shape, shape])
    for shape in ((2048, 768), (64, 10))
]
