"""sort: rows in order, and the first of them."""

from benchmarks.ops import Op

ROWS = [Op("sort(-1)", lambda fw, x: x.sort(-1)[0], [shape]) for shape in ((64, 256), (64, 16384))]
ROWS += [Op("topk(50)", lambda fw, x: x.topk(50)[0], [shape]) for shape in ((64, 256), (64, 16384))]
