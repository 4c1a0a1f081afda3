"""random: tensors of uniform and of normal numbers."""

from benchmarks.ops import Op

ROWS = [
    Op(f"{name} {rows}x{cols}", lambda fw, n=name, s=(rows, cols): getattr(fw, n)(*s), [], grad=False, same=False)
    for name in ("rand", "randn")
    for rows, cols in ((2048, 768), (64, 256))
]
