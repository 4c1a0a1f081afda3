"""reduce: sums and means over all elements, along rows and down columns."""

from benchmarks.ops import Op

LARGE, SMALL = (2048, 768), (64, 256)
ROWS = [
    Op("sum()", lambda fw, x: x.sum(), [LARGE], numpy=lambda x: x.sum()),
    Op("sum()", lambda fw, x: x.sum(), [SMALL], numpy=lambda x: x.sum()),
    Op("sum(0)", lambda fw, x: x.sum(0), [LARGE], numpy=lambda x: x.sum(0)),
    Op("sum(-1)", lambda fw, x: x.sum(-1), [LARGE], numpy=lambda x: x.sum(-1)),
    Op("sum(1)", lambda fw, x: x.sum(1), [(8, 128, 256)]),
    Op("mean()", lambda fw, x: x.mean(), [LARGE]),
    Op("prod(-1)", lambda fw, x: x.prod(-1), [LARGE], values=(0.9, 1.1)),
]
