"""binary: elementwise functions of two tensors, equal in shape or broadcast."""

from benchmarks.ops import Op

LARGE, SMALL = (2048, 768), (64, 256)
ROWS = [
    Op("add", lambda fw, x, y: x + y, [LARGE, LARGE], moved=(3 * 2048 * 768, 3 * 2048 * 768), numpy=lambda x, y: x + y),
    Op("add", lambda fw, x, y: x + y, [SMALL, SMALL], moved=(3 * 64 * 256, 3 * 64 * 256), numpy=lambda x, y: x + y),
    Op("add of a row to", lambda fw, x, y: x + y, [LARGE, LARGE[1:]], moved=(2 * 2048 * 768, 3 * 2048 * 768)),
    Op("mul", lambda fw, x, y: x * y, [LARGE, LARGE], numpy=lambda x, y: x * y),
    Op("mul", lambda fw, x, y: x * y, [SMALL, SMALL], numpy=lambda x, y: x * y),
    Op("sub", lambda fw, x, y: x - y, [LARGE, LARGE], grad=False),
    Op("div", lambda fw, x, y: x / y, [LARGE, LARGE], values=(0.5, 2.0)),
    Op("maximum", lambda fw, x, y: fw.maximum(x, y), [LARGE, LARGE]),
    Op("x ** y", lambda fw, x, y: x**y, [LARGE, LARGE], values=(0.5, 2.0), grad=False),
    Op("x < y", lambda fw, x, y: x < y, [LARGE, LARGE], grad=False, moved=(2.25 * 2048 * 768, 0)),
]
