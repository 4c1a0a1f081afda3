"""loss: the losses of every element, each by three entry points; one loss is the sum of chunks, in two launches."""

from minigrad.backend.array import empty_beside
from minigrad.cuda.launches import LAUNCHES, Launch, blocks_for
from minigrad.dtypes import float64

CHUNK = 1 << 12
NAMES = "mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"


def forward(name):
    def launch(loss, x, t, scale):
        n = x.size
        if loss.size == n:
            yield Launch(f"{name}_each", blocks_for(n, 256), 256, (loss, x, t, scale, n))
            return
        chunks = blocks_for(n, CHUNK)
        parts = empty_beside(x, (chunks,), float64)
        yield Launch(f"{name}_chunks", chunks, 256, (parts, x, t, n, CHUNK))
        yield Launch("loss_forward_total", 1, 256, (loss, parts, scale, chunks))

    return launch


def backward(name):
    def launch(dx, dy, x, t, scale):
        args = (dx, dy, x, t, scale, int(dy.size == x.size), x.size)
        yield Launch(name, blocks_for(x.size, 256), 256, args)

    return launch


for _name in NAMES:
    LAUNCHES[f"{_name}_forward"] = "loss", forward(f"{_name}_forward")
    LAUNCHES[f"{_name}_backward"] = "loss", backward(f"{_name}_backward")
