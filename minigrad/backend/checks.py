"""checks: values of indices and targets that must lie within bounds.

Kernels make them before they compute anything, where values can be looked at without waiting for a device. On a GPU
they are not made: a kernel there reads nothing out of bounds, and what a bad index or target leads to is NaN or zeros.
"""

import numpy as np


def check_bounds(op, index, n, where):
    """Raise IndexError unless every entry of the array `index` lies in 0 .. n - 1; `where` says what it counts."""
    if isinstance(index, np.ndarray) and index.size and (index.min() < 0 or index.max() >= n):
        found = index[(index < 0) | (index >= n)].flat[0]
        raise IndexError(f"[{op}] index {found} out of range for {where}, expected 0 to {n - 1}")


def check_targets(op, target, classes, ignore_index):
    """Raise IndexError for an entry of the array `target` that is neither a class nor ignore_index."""
    if not isinstance(target, np.ndarray):
        return
    wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
    if wrong.any():
        raise IndexError(
            f"[{op}] target {target[wrong].flat[0]} is no class: expected 0 to {classes - 1}, "
            f"or ignore_index {ignore_index}"
        )
