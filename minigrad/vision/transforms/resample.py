"""resample: an image's values between its pixels.

Pixel (i, j) has its centre at y = i, x = j. Outside the image everything has the value `fill`.
"""

import enum
import math

import numpy as np


class InterpolationMode(enum.StrEnum):
    """How to find a value between pixels: the nearest pixel's, or a mean of the four around, weighted by closeness."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


def mode_of(op, interpolation):
    """Errors: ValueError if there is no such way."""
    try:
        return InterpolationMode(interpolation)
    except ValueError:
        expected = ", ".join(InterpolationMode)
        raise ValueError(f"[{op}] interpolation is {interpolation!r}, expected one of {expected}") from None


def sample(images, y, x, interpolation, fill):
    """The values of images (N, ..., H, W) at the places y, x (N, h, w), as (N, ..., h, w) in the same dtype."""
    n, *between, height, width = images.shape
    framed = np.empty((n, math.prod(between), height + 2, width + 2), images.dtype)
    framed[...] = np.asarray(fill, images.dtype).reshape(-1, 1, 1)
    framed[..., 1:-1, 1:-1] = images.reshape(n, -1, height, width)
    if interpolation is InterpolationMode.NEAREST:
        out = _pick(framed, np.rint(y).astype(np.int32), np.rint(x).astype(np.int32))
    else:
        out = as_dtype_of(images, _blend(framed, y, x))
    return out.reshape(n, *between, *y.shape[1:])


def _pick(framed, y, x):
    """The values at whole y, x, all that is outside being in the frame, one pixel wide."""
    n, channels, rows, columns = framed.shape
    place = np.clip(y, -1, rows - 2) * columns + np.clip(x, -1, columns - 2)
    origin = np.arange(n * channels).reshape(n, channels, 1) * (rows * columns) + columns + 1
    return framed.reshape(-1).take(origin + place.reshape(n, 1, -1))


def _blend(framed, y, x):
    top, left = np.floor(y), np.floor(x)
    down, right = y - top, x - left
    top, left = top.astype(np.int32), left.astype(np.int32)
    down, right = (part.reshape(len(framed), 1, -1) for part in (down, right))
    above = (1 - right) * _pick(framed, top, left) + right * _pick(framed, top, left + 1)
    below = (1 - right) * _pick(framed, top + 1, left) + right * _pick(framed, top + 1, left + 1)
    return (1 - down) * above + down * below


def as_dtype_of(images, values):
    """Computed values in the dtype of the images: rounded to whole numbers for integers."""
    return (np.rint(values) if images.dtype.kind in "iu" else values).astype(images.dtype)
