"""A stand-in for CuPy's binding of cuBLAS: the two products that minigrad calls, by their definition, down columns."""

import ctypes

import ml_dtypes
import numpy as np

DTYPES = {0: np.dtype(np.float32), 2: np.dtype(np.float16), 14: np.dtype(ml_dtypes.bfloat16)}
HANDLE = 4711


class Blas:
    """`calls`: (function, whether operands are transposed, sizes, how many)."""

    def __init__(self, capturing=lambda: False):
        self.calls, self.capturing = [], capturing

    def gemmEx(self, handle, op_a, op_b, m, n, k, alpha, *rest):
        a, kind_a, lda, b, kind_b, ldb, beta, c, kind_c, ldc, compute, algorithm = rest
        self.begin("gemmEx", handle, (op_a, op_b), (m, n, k), 1, (kind_a, kind_b, kind_c), compute, algorithm)
        self.add(kind_c, op_a, op_b, m, n, k, number(alpha), (a, lda), (b, ldb), number(beta), (c, ldc))

    def gemmStridedBatchedEx(self, handle, op_a, op_b, m, n, k, alpha, *rest):
        a, kind, lda, step_a, b, kind_b, ldb, step_b, beta, c, kind_c, ldc, step_c, count, compute, algorithm = rest
        self.begin("batched", handle, (op_a, op_b), (m, n, k), count, (kind, kind_b, kind_c), compute, algorithm)
        size = DTYPES[kind].itemsize
        for i in range(count):
            places = (a + i * step_a * size, lda), (b + i * step_b * size, ldb), (c + i * step_c * size, ldc)
            self.add(kind, op_a, op_b, m, n, k, number(alpha), *places[:2], number(beta), places[2])

    def begin(self, name, handle, ops, sizes, count, kinds, compute, algorithm):
        if self.capturing():
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        assert (handle, compute, algorithm) == (HANDLE, 68, -1) and len(set(kinds)) == 1
        assert set(ops) <= {0, 1} and min(sizes) > 0
        self.calls.append((name, ops, sizes, count))

    def add(self, kind, op_a, op_b, m, n, k, alpha, a, b, beta, c):
        """c = alpha a b + beta c in float32, rounded once."""
        a = columns(kind, *a, *((k, m) if op_a else (m, k)))
        b = columns(kind, *b, *((n, k) if op_b else (k, n)))
        c = columns(kind, *c, m, n)
        wide = alpha * ((a.T if op_a else a).astype(np.float32) @ (b.T if op_b else b).astype(np.float32))
        c[...] = wide + (beta * c.astype(np.float32) if beta else 0)


def columns(kind, address, leading, rows, cols):
    """The matrix that lies column by column, `leading` elements apart."""
    assert leading >= rows
    dtype = DTYPES[kind]
    memory = (ctypes.c_char * (((cols - 1) * leading + rows) * dtype.itemsize)).from_address(address)
    return np.ndarray((rows, cols), dtype, memory, 0, (dtype.itemsize, leading * dtype.itemsize))


def number(address):
    return ctypes.c_float.from_address(address).value


def install(monkeypatch, capturing=lambda: False):
    from minigrad.cuda import blas

    binding = Blas(capturing)
    monkeypatch.setattr(blas, "binding", lambda: (binding, lambda: HANDLE))
    return binding
