"""threads: how many threads the C++ kernels use, and what their buffer pool holds."""

from minigrad.backend import cpu


def get_num_threads():
    """How many threads kernels use (1 without the extension).

    >>> import minigrad as mg
    >>> mg.get_num_threads() >= 1
    True
    """
    return cpu.get_num_threads() if cpu.get_num_threads else 1


def set_num_threads(threads):
    """Use this many threads from now on; results do not depend on it, bit for bit.

    Errors: ValueError for less than 1.
    """
    if not isinstance(threads, int) or threads < 1:
        raise ValueError(f"[set_num_threads] expected an int of at least 1, found {threads!r}")
    if cpu.set_num_threads:
        cpu.set_num_threads(threads)


def memory_stats():
    """What the buffer pool holds, in bytes: in use, kept for reuse, the peak (empty without the extension)."""
    return cpu.memory_stats() if cpu.memory_stats else {}
