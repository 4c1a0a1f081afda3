"""gpu: memory of the device "cuda", CuPy's arrays. Nothing of CuPy is imported before the first array is made there."""

import numpy as np

DEVICE = "cuda"
cupy = None  # the module, once it is in use


def load():
    """CuPy, which stays loaded. Errors: RuntimeError that says what is missing."""
    global cupy
    if cupy is None:
        from minigrad.cuda.availability import missing

        if missing():
            raise RuntimeError(missing())
        import cupy as module

        cupy = module
    return cupy


def empty(shape, dtype):
    """An array whose elements may be anything, from CuPy's pool."""
    return cupy.empty(shape, dtype)


def from_host(x):
    """A copy of numpy's array on the GPU."""
    return cupy.asarray(np.asarray(x))


def to_host(x):
    """A copy of an array on the GPU as numpy's; waits for what makes it."""
    return cupy.asnumpy(x)
