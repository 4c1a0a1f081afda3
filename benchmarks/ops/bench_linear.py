"""linear: the layer with its bias, of the workloads' shapes and for few rows; of two-byte floats."""

import numpy as np

from benchmarks.ops import Op, Step


def linear(m, k, n, grad=True):
    call = lambda fw, x, w, b: fw.nn.functional.linear(x, w, b)  # noqa: E731
    return Op(f"linear {m}x{k}x{n}", call, [(m, k), (n, k), (n,)], named=True, flops=2 * m * k * n, grad=grad)


ROWS = [linear(*shape) for shape in ((64, 784, 256), (64, 128, 10), (1024, 256, 1024), (2048, 192, 768))]
ROWS += [linear(m, 768, 768, grad=False) for m in (1, 4, 16)]


def halves(m, k, n, dtype):
    def make(fw):
        rng = np.random.default_rng(0)
        x, w, b = (fw.tensor(rng.uniform(-1, 1, s).astype(np.float32)) for s in ((m, k), (n, k), (n,)))
        x, w, b = (t.to(getattr(fw, dtype)) for t in (x, w, b))
        return lambda: fw.nn.functional.linear(x, w, b)

    return Step(f"linear {m}x{k}x{n}, {dtype}", make, (m * k + k * n + m * n) / 2, 2 * m * k * n)


ROWS += [halves(*shape, "bfloat16") for shape in ((64, 128, 10), (64, 784, 256), (1024, 256, 1024), (1, 768, 3072))]
ROWS += [halves(64, 784, 256, "float16")]
