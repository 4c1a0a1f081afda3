"""logsumexp: along rows."""

from benchmarks.ops import Op

ROWS = [
    Op("logsumexp(-1)", lambda fw, x: fw.logsumexp(x, -1), [(2048, 768)]),
    Op("logsumexp(-1)", lambda fw, x: fw.logsumexp(x, -1), [(64, 256)]),
]
