"""array: the one place where raw arrays are made, and where numpy (and one day CuPy) is named.

Every buffer of an op comes from `empty`, so that memory is pooled and aligned and can be planned for a recorded step.
"""

import numpy as np

from minigrad.backend import cpu

empty = cpu.empty  # empty(shape: tuple, dtype) -> ndarray, 64-byte aligned and pooled when the extension is there


def array_module(x):
    """The module whose functions work on `x`: numpy for CPU arrays."""
    return np


quiet = np.errstate(all="ignore")  # decorates references: inf and nan are results here, not events


def is_array(x):
    return isinstance(x, np.ndarray)


class Arrays(tuple):
    """Arrays of one dtype that a kernel takes as one argument."""

    @property
    def dtype(self):
        return self[0].dtype


def empty_like(x):
    return empty(x.shape, x.dtype)


def full(shape, value, dtype):
    out = empty(shape, dtype)
    out.fill(value)
    return out


def contiguous(x):
    """`x` itself if its elements lie in C order, else a copy that does."""
    return x if x.flags.c_contiguous else copy(x)


def copy(x):
    out = empty(x.shape, x.dtype)
    out[...] = x
    return out


@quiet
def cast(x, dtype):
    """A copy of `x` in another dtype: what is too large becomes inf, or an integer of the processor's choice."""
    out = empty(x.shape, dtype)
    out[...] = x
    return out


def owner(x):
    """The array that holds the memory that `x` is a view of."""
    base = x.base
    return base if isinstance(base, np.ndarray) else x


def is_view(x):
    """Whether `x` looks into another array's memory."""
    return isinstance(x.base, np.ndarray)


def device_of(x):
    return "cpu"


def is_alone(x, arrays):
    """Whether none of `arrays` but `x` itself, which is among them, shares memory with it."""
    owners = [id(owner(a)) for a in arrays if a is not None]
    return x.flags.writeable and owners.count(id(owner(x))) == 1
