"""resize: an image in another size.

Bilinear resizing is a product with one matrix for each direction: y = R x C'. Row i of R holds the weights of the
pixels that result pixel i is made of: a triangle around its place in the image, as wide as the coarser pixels.
"""

import numpy as np

from minigrad.vision.transforms.base import Transform, pair
from minigrad.vision.transforms.resample import InterpolationMode, as_dtype_of, mode_of


class Resize(Transform):
    """The image scaled to the given size.

    Args:
        size: (height, width); or one number for the shorter side, the other keeping the proportion.
        interpolation: "bilinear" or "nearest" (or the InterpolationMode).
        max_size: upper limit of the longer side, with one number as size.
        antialias: when shrinking, weigh all pixels that a new one covers, not only those around its centre.
    Errors: ValueError for sizes that are not positive or an unknown interpolation.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import Resize
    >>> Resize((1, 2))(mg.tensor([[1.0, 1.0, 4.0, 4.0]]))
    tensor([[1.4286, 3.5714]])
    """

    def __init__(self, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = mode_of("Resize", interpolation)
        pair("Resize", size)

    def batch(self, images):
        rows, columns = self._target(*images.shape[-2:])
        if self.interpolation is InterpolationMode.NEAREST:
            height, width = images.shape[-2:]
            return images[..., np.arange(rows)[:, None] * height // rows, np.arange(columns) * width // columns]
        down = _weights(images.shape[-2], rows, self.antialias)
        across = _weights(images.shape[-1], columns, self.antialias)
        return as_dtype_of(images, down @ images @ across.T)

    def _target(self, height, width):
        if not isinstance(self.size, (int, np.integer)) and len(self.size) == 2:
            return self.size
        short, long = pair("Resize", self.size)[0], max(height, width)
        long = short * long // min(height, width)
        if self.max_size is not None and long > self.max_size:
            short, long = self.max_size * short // long, self.max_size
        return (short, long) if height <= width else (long, short)

    def __repr__(self):
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation}, max_size={self.max_size}, "
            f"antialias={self.antialias})"
        )


def _weights(have, want, antialias):
    """Matrix (want, have): rows sum to 1."""
    step = have / want
    reach = max(step, 1.0) if antialias else 1.0
    distance = np.abs(np.arange(have) + 0.5 - ((np.arange(want) + 0.5) * step)[:, None])
    weights = np.maximum(0.0, 1 - distance / reach)
    return weights / weights.sum(axis=1, keepdims=True)
