"""rounding: floor division and remainders."""

from benchmarks.ops import Op

SHAPES = ((2048, 768), (64, 256))
ROWS = [Op("x // y", lambda fw, x, y: x // y, [s, s], values=(0.5, 9.0), grad=False, same=False) for s in SHAPES]
ROWS += [Op("x % y", lambda fw, x, y: x % y, [s, s], values=(0.5, 9.0), grad=False, same=False) for s in SHAPES]
