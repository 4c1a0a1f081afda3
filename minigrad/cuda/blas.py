"""blas: products of matrices by cuBLAS, through CuPy's binding: what "auto" and "cublas" mean on a GPU (rungs.py).

Float32 is float32 (no TF32), halves add up in float32. cuBLAS goes down columns, so that our y = a b is its y' = b' a';
how an operand lies, and the steps between batches, are told to it: nothing is copied. A bias lies in y beforehand and
the product is added to it. No stream takes note of cuBLAS, so captured steps, and their replays, use our rungs.
"""

from functools import cache, wraps

import numpy as np

from minigrad import recording
from minigrad.backend import gpu
from minigrad.cuda import rungs
from minigrad.dtypes import bfloat16, float16, float32

TYPES = {float32: 0, float16: 2, bfloat16: 14}  # CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF
COMPUTE, ALGORITHM = 68, -1  # CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT
ALIGNED = 16  # bytes: where halves must begin, else some of cuBLAS's kernels refuse them
NUMBERS = np.array([0, 1], np.float32)
ZERO, ONE = NUMBERS.ctypes.data, NUMBERS[1:].ctypes.data


@cache
def binding():
    """(CuPy's functions of cuBLAS, what gives their handle), or None where cuBLAS is missing."""
    try:
        from cupy_backends.cuda.libs import cublas
    except ImportError:
        return None
    return cublas, gpu.load().cuda.device.get_cublas_handle


def fits(y, *operands):
    """Whether cuBLAS is to multiply, and can."""
    if rungs.chosen(y.dtype) not in (rungs.AUTO, rungs.CUBLAS) or recording.recorder is not None:
        return False
    arrays = (y, *[x for x in operands if x is not None])
    sizes = all(x.size and max(x.shape) < 2**31 for x in arrays)
    alike = y.dtype in TYPES and all(x.dtype == y.dtype for x in arrays)
    aligned = y.dtype == float32 or all(x.data.ptr % ALIGNED == 0 for x in arrays)
    return sizes and alike and aligned and not recording.replaying and binding() is not None


def multiply(y, a, b, transpose_a, transpose_b, added=ZERO):
    """y = a b, or with `added=ONE` y += a b; matrices or batches of them."""
    (m, n), k, kind = y.shape[-2:], a.shape[-2 if transpose_a else -1], TYPES[y.dtype]
    batch = len(y) if y.ndim == 3 else 1
    cublas, handle = binding()
    sizes = handle(), int(transpose_b), int(transpose_a), n, m, k, ONE
    first, second, out = [(x.data.ptr, kind, x.shape[-1]) for x in (b, a, y)]
    if batch == 1:
        cublas.gemmEx(*sizes, *first, *second, added, *out, COMPUTE, ALGORITHM)
    else:
        steps = [step(x, batch) for x in (b, a)]
        cublas.gemmStridedBatchedEx(
            *sizes, *first, steps[0], *second, steps[1], added, *out, m * n, batch, COMPUTE, ALGORITHM
        )


def step(x, batch):
    """Elements from one matrix to the next; 0 where there is one for all."""
    return x.shape[-2] * x.shape[-1] if x.ndim == 3 and len(x) == batch else 0


def product(y, a, b, transpose_a, transpose_b):
    return multiply(y, a, b, transpose_a, transpose_b) if fits(y, a, b) else NotImplemented


def linear(y, x, w, bias, *more):
    """y = x w^T + bias + more, by kernels that lay down what the product is added to; NotImplemented where it does not
    fit."""
    terms = [t for t in (*more, bias) if t is not None]
    if not fits(y, x, w, *terms):
        return NotImplemented
    if terms:
        lay_down(y, *terms)
    return multiply(y, x, w, False, True, ONE if terms else ZERO)


def lay_down(y, *terms):
    """y = the sum of terms, broadcast."""
    if own("copy_forward" if len(terms) == 1 else "add_forward", y, *terms) is NotImplemented:
        y[...] = sum(terms)


def own(name, y, *args):
    """Run our kernel of that name, in its form for y's dtype; NotImplemented where there is none."""
    from minigrad.cuda.gpu import bodies

    body = bodies().get(name if y.dtype == float32 else f"{name}_{y.dtype}")
    return NotImplemented if body is None else body(y, *args)


def linear_relu(y, x, w, bias):
    if linear(y, x, w, bias) is NotImplemented:
        return NotImplemented
    if own("relu_forward", y, y) is NotImplemented:
        gpu.cupy.maximum(y, 0, out=y)
    return None


FORMS = {
    "matmul_forward": product,
    "linear_forward": linear,
    "linear_relu_forward": linear_relu,
    "linear_add_forward": linear,
}


def preferred(name, body):
    """The body of a kernel, or one that tries cuBLAS first."""
    form = FORMS.get(name.removesuffix("_float16").removesuffix("_bfloat16"))
    if form is None:
        return body

    @wraps(body)
    def call(*args):
        return body(*args) if form(*args) is NotImplemented else None

    return call
