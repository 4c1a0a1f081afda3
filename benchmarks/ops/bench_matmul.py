"""matmul: matrix products of the workloads' shapes, thin ones, large ones.

The rows "TN" and "NT" have the first or the second matrix transposed, as the gradients of a linear layer do.
"""

import numpy as np

from benchmarks.ops import Op

NN = [(64, 784, 256), (64, 256, 128), (64, 128, 10), (64, 5408, 128), (1024, 256, 768), (2048, 192, 576)]
NN += [(2048, 768, 192), (256, 256, 256), (1024, 1024, 1024)]
THIN = [(m, 768, 768) for m in (1, 2, 4, 8, 16)] + [(1, 768, 50257), (768, 768, 1)]


def product(m, k, n):
    numpy = np.matmul if (m, k, n) in ((64, 784, 256), (1024, 1024, 1024)) else None
    shapes, flops = [(m, k), (k, n)], 2 * m * k * n
    return Op(f"matmul {m}x{k}x{n}", lambda fw, a, b: a @ b, shapes, named=True, flops=flops, numpy=numpy, grad=False)


def transposed(m, k, n, name, call, shapes):
    return Op(f"matmul {name} {m}x{k}x{n}", call, shapes, named=True, flops=2 * m * k * n, grad=False)


ROWS = [product(*shape) for shape in NN + THIN + [(2048, 2048, 2048)]]
ROWS += [
    transposed(784, 64, 256, "TN", lambda fw, a, b: a.T @ b, [(64, 784), (64, 256)]),
    transposed(192, 2048, 768, "TN", lambda fw, a, b: a.T @ b, [(2048, 192), (2048, 768)]),
    transposed(64, 784, 256, "NT", lambda fw, a, b: a @ b.T, [(64, 784), (256, 784)]),
    transposed(2048, 768, 192, "NT", lambda fw, a, b: a @ b.T, [(2048, 768), (192, 768)]),
    Op("matmul, batched", lambda fw, a, b: a @ b, [(96, 128, 32), (96, 32, 128)], flops=2 * 96 * 128 * 128 * 32),
]
