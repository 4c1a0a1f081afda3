"""resample: an image's values between its pixels.

Pixel (i, j) has its centre at y = i, x = j. Outside the image everything has the value `fill`.
"""

import enum

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
    flat = images.reshape(n, -1, height * width)
    fill = np.asarray(fill, images.dtype).reshape(-1, 1)
    if interpolation is InterpolationMode.NEAREST:
        out = _pick(flat, np.rint(y), np.rint(x), (height, width), fill)
    else:
        out = _blend(flat, y, x, (height, width), fill)
    return out.reshape(n, *between, *y.shape[1:])


def _pick(flat, y, x, size, fill):
    """The values at whole y, x; `fill` outside."""
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    index = np.where(inside, y * size[1] + x, 0).astype(np.int64)
    values = np.take_along_axis(flat, index.reshape(len(flat), 1, -1), axis=2)
    return np.where(inside.reshape(len(flat), 1, -1), values, fill)


def _blend(flat, y, x, size, fill):
    top, left = np.floor(y), np.floor(x)
    down, right = y - top, x - left
    total = 0.0
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (down if dy else 1 - down) * (right if dx else 1 - right)
        total = total + weight.reshape(len(flat), 1, -1) * _pick(flat, top + dy, left + dx, size, fill)
    return as_dtype_of(flat, total)


def as_dtype_of(images, values):
    """Computed values in the dtype of the images: rounded to whole numbers for integers."""
    return (np.rint(values) if images.dtype.kind in "iu" else values).astype(images.dtype)
