"""extrema: largest and smallest elements, and where they are."""

from benchmarks.ops import Op

LARGE, SMALL = (2048, 768), (64, 10)
ROWS = [
    Op("max()", lambda fw, x: x.max(), [LARGE]),
    Op("max(-1)", lambda fw, x: x.max(-1).values, [LARGE]),
    Op("min(0)", lambda fw, x: x.min(0).values, [LARGE]),
    Op("argmax(-1)", lambda fw, x: x.argmax(-1), [LARGE], grad=False),
    Op("argmax(-1)", lambda fw, x: x.argmax(-1), [SMALL], grad=False),
]
