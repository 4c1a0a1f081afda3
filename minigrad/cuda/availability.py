"""availability: whether there is a GPU, and what is missing where there is none.

The device "cuda" (`gpu.py`) is written, and tested on a stand-in for CuPy, but has not run on a GPU so far.
"""

from functools import cache


@cache
def _found():
    """(number of GPUs, what is missing if there is none)"""
    try:
        import cupy
    except ImportError:
        return 0, "CuPy is not installed: pip install 'minigrad-kernels[cuda13]' (or [cuda12])"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        return 0, f"CuPy finds no GPU: {error}"
    return count, None if count else "CuPy finds no GPU"


def is_available():
    """Whether there is a GPU that CuPy can use. The device "cuda-sim" needs none.

    >>> import minigrad as mg
    >>> mg.cuda.is_available() == (mg.cuda.device_count() > 0)
    True
    """
    return _found()[0] > 0


def device_count():
    """How many GPUs CuPy can use."""
    return _found()[0]


def missing():
    """What is missing for a GPU to be used, in words; None if nothing is."""
    return _found()[1]
