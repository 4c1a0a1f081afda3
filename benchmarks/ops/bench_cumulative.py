"""cumulative: running sums and products."""

from benchmarks.ops import Op

ROWS = [Op("cumsum(-1)", lambda fw, x: x.cumsum(-1), [shape]) for shape in ((2048, 768), (64, 256))]
ROWS += [Op("cumsum(0)", lambda fw, x: x.cumsum(0), [(2048, 768)])]
ROWS += [Op("cumprod(-1)", lambda fw, x: x.cumprod(-1), [(2048, 768)], values=(0.9, 1.1))]
