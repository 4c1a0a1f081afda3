"""dropout: a tenth or half of the elements."""

from benchmarks.ops import Op

ROWS = [
    Op(f"dropout({p})", lambda fw, x, p=p: fw.nn.functional.dropout(x, p), [shape], same=False, moved=moved)
    for p, shape, moved in ((0.5, (2048, 768), (2 * 2048 * 768, 4 * 2048 * 768)), (0.1, (64, 256), (32768, 65536)))
]
