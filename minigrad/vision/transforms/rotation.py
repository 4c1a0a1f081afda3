"""rotation: an image turned by a random angle.

A pixel of the result at (x, y) from the centre, y downwards, shows what was at

    x cos a - y sin a,   x sin a + y cos a

before the turn by the angle a counter-clockwise.
"""

import math

import numpy as np

from minigrad.vision.transforms.base import RandomTransform
from minigrad.vision.transforms.resample import InterpolationMode, mode_of, sample


class RandomRotation(RandomTransform):
    """The image turned counter-clockwise by an angle drawn evenly from a range.

    Args:
        degrees: the range (low, high), or one number d for (-d, d).
        interpolation: "nearest" or "bilinear" (or the InterpolationMode).
        expand: make the result large enough for all of the image; it is then turned about its middle.
        center: (x, y) to turn about, from the upper left corner; the middle if None.
        fill: the value of what comes from outside; one number, or one for each channel.
        generator: where the angles come from; the default one if None.
    Errors: ValueError for a negative d, a range that is not two numbers, an unknown interpolation.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import RandomRotation
    >>> RandomRotation((90, 90))(mg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """

    def __init__(
        self, degrees, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=0, generator=None
    ):
        super().__init__(generator)
        self.degrees = _range(degrees)
        self.interpolation = mode_of("RandomRotation", interpolation)
        self.expand, self.center, self.fill = expand, center, fill

    def batch(self, images):
        if self.expand and len(images) > 1:
            return NotImplemented  # each result has a size of its own
        low, high = self.degrees
        angles = np.deg2rad(low + (high - low) * self.random.uniform((len(images),)).astype(np.float64))
        return rotate(images, angles, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self):
        return (
            f"RandomRotation(degrees={self.degrees}, interpolation={self.interpolation}, expand={self.expand}, "
            f"fill={self.fill})"
        )


def _range(degrees):
    degrees = [-degrees, degrees] if isinstance(degrees, (int, float)) else list(degrees)
    if len(degrees) != 2 or not degrees[0] <= degrees[1]:
        raise ValueError(f"[RandomRotation] degrees give the range {degrees}, expected two numbers, the lower first")
    return [float(d) for d in degrees]


def rotate(images, angles, interpolation, expand, center, fill):
    """Images (N, ..., H, W) turned by `angles` (N,), in radians."""
    height, width = images.shape[-2:]
    rows, columns = _room(angles[0], height, width) if expand else (height, width)
    middle = (height / 2, width / 2)
    pivot = middle if center is None or expand else center[::-1]
    shift = ((rows - height) / 2, (columns - width) / 2)  # where the old middle lies in a larger result
    y = (np.arange(rows) + 0.5 - shift[0] - pivot[0])[:, None]
    x = (np.arange(columns) + 0.5 - shift[1] - pivot[1])[None, :]
    cos, sin = (f(angles).round(12).reshape(-1, 1, 1) for f in (np.cos, np.sin))  # right angles give whole places
    from_y, from_x = x * sin + (y * cos + pivot[0] - 0.5), x * cos - (y * sin - pivot[1] + 0.5)
    return sample(images, from_y, from_x, interpolation, fill)


def _room(angle, height, width):
    """The size of the smallest box of the image's own grid around the image turned."""
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    spans = ((height, width * sin + height * cos), (width, width * cos + height * sin))
    return tuple(math.ceil(round((a + b) / 2, 4)) - math.floor(round((a - b) / 2, 4)) for a, b in spans)
