"""flip: an image or its mirror image."""

import numpy as np

from minigrad.vision.transforms.base import RandomTransform


class _RandomFlip(RandomTransform):
    """Mirrors along `axis` with probability p."""

    axis: int

    def __init__(self, p=0.5, generator=None):
        super().__init__(generator)
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] p is {p}, expected a probability")
        self.p = p

    def batch(self, images):
        mirrored = self.random.uniform((len(images),)) < self.p
        out = images.copy()
        out[mirrored] = np.flip(images[mirrored], self.axis)
        return out

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Left and right swapped with probability p.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import RandomHorizontalFlip
    >>> RandomHorizontalFlip(p=1)(mg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """

    axis = -1


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom swapped with probability p.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import RandomVerticalFlip
    >>> RandomVerticalFlip(p=1)(mg.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]])
    """

    axis = -2
