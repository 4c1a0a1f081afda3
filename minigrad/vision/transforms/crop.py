"""crop: windows of an image, and the border that makes room for them."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minigrad.vision.transforms.base import RandomTransform, Transform, pair

MODES = ("constant", "edge", "reflect", "symmetric")


def _margins(op, padding):
    """left, top, right, bottom from one number for all, (left and right, top and bottom), or all four."""
    padding = (padding,) if isinstance(padding, (int, np.integer)) else tuple(padding)
    if len(padding) not in (1, 2, 4):
        raise ValueError(f"[{op}] found the padding {padding}, expected 1, 2 or 4 numbers")
    return padding * (4 // len(padding))


def pad(images, margins, fill, mode):
    """`images` with margins (left, top, right, bottom), filled as numpy.pad does in `mode`."""
    left, top, right, bottom = margins
    if not any(margins):
        return images
    if mode != "constant":  # numpy.pad is slow at what is simple
        return np.pad(images, [(0, 0)] * (images.ndim - 2) + [(top, bottom), (left, right)], mode)
    *outer, height, width = images.shape
    out = np.full((*outer, top + height + bottom, left + width + right), fill, images.dtype)
    out[..., top : top + height, left : left + width] = images
    return out


def _check_mode(op, mode):
    if mode not in MODES:
        raise ValueError(f"[{op}] padding_mode is {mode!r}, expected one of {', '.join(MODES)}")


class Pad(Transform):
    """A border around the image.

    Args:
        padding: its width: one number; or two, left and right, top and bottom; or four, left, top, right, bottom.
        fill: its value, when padding_mode is "constant"; "edge", "reflect" and "symmetric" take it from the image.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import Pad
    >>> Pad((1, 0))(mg.tensor([[5, 6]]))
    tensor([[0, 5, 6, 0]])
    """

    def __init__(self, padding, fill=0, padding_mode="constant"):
        _check_mode("Pad", padding_mode)
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode
        self._margins = _margins("Pad", padding)

    def batch(self, images):
        return pad(images, self._margins, self.fill, self.padding_mode)

    def __repr__(self):
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class CenterCrop(Transform):
    """The window of the given size in the middle; an image that is smaller gets a border of 0.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import CenterCrop
    >>> CenterCrop(1)(mg.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    tensor([[5]])
    """

    def __init__(self, size):
        self.size = pair("CenterCrop", size)

    def batch(self, images):
        lacks = [max(want - have, 0) for want, have in zip(self.size, images.shape[-2:], strict=True)]
        images = pad(images, (lacks[1] // 2, lacks[0] // 2, (lacks[1] + 1) // 2, (lacks[0] + 1) // 2), 0, "constant")
        top, left = (round((have - want) / 2) for want, have in zip(self.size, images.shape[-2:], strict=True))
        return images[..., top : top + self.size[0], left : left + self.size[1]]

    def __repr__(self):
        return f"CenterCrop(size={self.size})"


class RandomCrop(RandomTransform):
    """A window of the given size at a random place.

    Args:
        size: height and width, or one number for both.
        padding: a border put around the image first, as in Pad; pad_if_needed adds what is missing where the image is
            too small.
        fill, padding_mode: as in Pad.
        generator: where the places come from; the default one if None.
    Errors: ValueError if the image is smaller than the window.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import RandomCrop
    >>> RandomCrop(28, padding=4)(mg.zeros(3, 28, 28)).shape
    (3, 28, 28)
    """

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant", generator=None):
        super().__init__(generator)
        _check_mode("RandomCrop", padding_mode)
        self.size, self.padding, self.pad_if_needed = pair("RandomCrop", size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode
        self._margins = _margins("RandomCrop", 0 if padding is None else padding)

    def batch(self, images):
        images = pad(images, self._margins, self.fill, self.padding_mode)
        if self.pad_if_needed:
            rows, columns = (max(w - h, 0) for w, h in zip(self.size, images.shape[-2:], strict=True))
            images = pad(images, (columns, rows, columns, rows), self.fill, self.padding_mode)
        n, free = len(images), [have - want for want, have in zip(self.size, images.shape[-2:], strict=True)]
        if min(free) < 0:
            raise ValueError(f"[RandomCrop] found an image of {images.shape[-2:]}, expected at least {self.size}")
        tops, lefts = (np.int64(self.random.uniform((n,)) * np.float64(room + 1)) for room in free)
        windows = sliding_window_view(images, self.size, axis=(-2, -1))
        return windows[np.arange(n), ..., tops, lefts, :, :]

    def __repr__(self):
        return f"RandomCrop(size={self.size}, padding={self.padding})"
