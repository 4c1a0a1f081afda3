"""windows: what conv2d and max_pool2d share: how windows lie on images, and what the reference kernels see in them.

At the end: maxima of 2 x 2 squares, as the fused ops take them.
"""

import itertools
from typing import NamedTuple

from minigrad.backend.array import array_module


def pair(op, name, value, least):
    """`value`, an int or two, as two ints of at least `least`.

    Errors: TypeError for another type, RuntimeError for more of them or less.
    """
    if type(value) is int and value >= least:
        return value, value
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise TypeError(f"[{op}] {name} must be an int or two of them, found {value!r}")
    if len(values) not in (1, 2):
        raise RuntimeError(f"[{op}] {name} must be an int or two of them, found {value!r}")
    if min(values) < least:
        raise RuntimeError(f"[{op}] {name} must be at least {least}, found {value!r}")
    return int(values[0]), int(values[-1])


class Windows(NamedTuple):
    """The windows of an op, down and across: how large they are, how far apart, how far outside the first one begins,
    and how far apart the taps of a window are.
    """

    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple

    @classmethod
    def of(cls, numbers):
        """From the eight numbers that a kernel takes."""
        return cls(*(tuple(numbers[i : i + 2]) for i in (0, 2, 4, 6)))

    def numbers(self):
        return *self.kernel, *self.stride, *self.padding, *self.dilation

    def span(self, d):
        """Elements from the first tap of a window to the last."""
        return (self.kernel[d] - 1) * self.dilation[d] + 1

    def outputs(self, size, ceil_mode=False):
        """How many there are down and across; with `ceil_mode` one more may reach over the end, if it begins inside."""
        return tuple(self._outputs(d, n, ceil_mode) for d, n in enumerate(size))

    def _outputs(self, d, n, ceil_mode):
        stride, padding = self.stride[d], self.padding[d]
        room = n + 2 * padding - self.span(d)
        if not ceil_mode:
            return room // stride + 1
        count = -(-room // stride) + 1
        return count - ((count - 1) * stride >= n + padding)

    def blind(self, d, n, outputs):
        """Whether one of the windows along dimension `d` of `n` elements has all its taps outside."""
        starts = [o * self.stride[d] - self.padding[d] for o in range(outputs)]
        taps = [t * self.dilation[d] for t in range(self.kernel[d])]
        return not all(any(0 <= start + tap < n for tap in taps) for start in starts)

    # For the reference kernels: the image in a frame that holds all windows ------------------------------------------

    def frame(self, image, outputs):
        """The shape of such a frame for images of size `image`, and the slices at which it holds them."""
        reach = [(n - 1) * self.stride[d] + self.span(d) for d, n in enumerate(outputs)]
        shape = [max(p + n, r) for p, n, r in zip(self.padding, image, reach, strict=True)]
        return shape, tuple(slice(p, p + n) for p, n in zip(self.padding, image, strict=True))

    def framed(self, x, outputs, dtype):
        """Images x (..., h, w) in zeros."""
        shape, inside = self.frame(x.shape[-2:], outputs)
        out = array_module(x).zeros((*x.shape[:-2], *shape), dtype)
        out[..., *inside] = x
        return out

    def taps(self, outputs):
        """Every tap (i, j) of the windows, with the slices at which all windows see it in a frame."""
        for tap in itertools.product(*map(range, self.kernel)):
            starts = [t * self.dilation[d] for d, t in enumerate(tap)]
            ends = [start + max(0, (n - 1) * s + 1) for start, n, s in zip(starts, outputs, self.stride, strict=True)]
            yield tap, tuple(slice(*bounds) for bounds in zip(starts, ends, self.stride, strict=True))


# Squares: y and code (..., h // 2, w // 2) of x (..., h, w) -----------------------------------------------------------

NONE = 4  # the code where nothing is above zero


def pool_squares(y, code, x):
    """y: the largest of relu(x) in each square, code: which of the four it is, row by row; the first of equals."""
    xp, (*batch, rows, cols) = array_module(x), y.shape
    corners = x[..., : 2 * rows, : 2 * cols].reshape(*batch, rows, 2, cols, 2).swapaxes(-3, -2).reshape(*y.shape, 4)
    best = corners.max(-1)
    y[...], code[...] = xp.maximum(best, 0), xp.where(best > 0, corners.argmax(-1), NONE)


def spread_squares(x, y, code):
    """y where the code says, zeros elsewhere."""
    x[...] = 0
    for corner in range(4):
        i, j = divmod(corner, 2)
        x[..., i : 2 * y.shape[-2] : 2, j : 2 * y.shape[-1] : 2] = y * (code == corner)
