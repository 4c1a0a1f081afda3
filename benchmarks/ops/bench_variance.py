"""variance: var along rows and over all elements."""

from benchmarks.ops import Op

ROWS = [Op("var(-1)", lambda fw, x: x.var(-1), [shape]) for shape in ((2048, 768), (64, 256))]
ROWS += [Op("var()", lambda fw, x: x.var(), [(2048, 768)])]
