"""base: what a transform is, and how several make one.

Reading order: `Transform`, `RandomTransform`, `Compose`, then how images of different kinds are taken apart.

A transform is written once, for a stack of images: `batch(images)` takes and gives a raw array (N, ..., H, W). One
image is a stack of one. So a data set of arrays can transform a whole batch at once; transforms without chance give the
same bits both ways, random ones draw for all images of the stack together.
"""

from collections.abc import Callable

import numpy as np

from minigrad import random
from minigrad.tensor import Tensor, wrap
from minigrad.utils.data.dataset import offers
from minigrad.utils.data.worker_info import get_worker_info


class Transform:
    """Base of transforms: a subclass has `batch(images)`, which may say NotImplemented to more than one image."""

    def __call__(self, img):
        array, restore = open_image(type(self).__name__, img)
        return restore(self.batch(array[None])[0])

    def batch(self, images):
        raise NotImplementedError(f"[{type(self).__name__}] has no batch(images)")

    def __repr__(self):
        return f"{type(self).__name__}()"


class RandomTransform(Transform):
    """Base of transforms that draw random numbers."""

    def __init__(self, generator=None):
        self.generator = generator
        self._worker_seed = self._worker_generator = None

    @property
    def random(self):
        """Where the numbers come from. Workers mix their seeds into their copies of `generator`."""
        info = get_worker_info()
        if self.generator is None:
            return random.default_generator
        if info is None:
            return self.generator
        if self._worker_seed != info.seed:
            self._worker_seed = info.seed
            self._worker_generator = random.Generator().manual_seed((self.generator.initial_seed() ^ info.seed) % 2**62)
        return self._worker_generator


def batch_of(transform, images):
    """`transform` on a stack of images at once, or NotImplemented if it has no such way."""
    if transform is None:
        return images
    return transform.batch(images) if offers(transform, "batch", "__call__") else NotImplemented


class Compose(Transform):
    """One transform after the other.

        >>> from collections.abc import Callable

    import numpy as np
        >>> from minigrad.vision.transforms import Compose, Normalize, ToTensor
        >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])(np.array([[0, 255]], np.uint8))
        tensor([[[-1.,  1.]]])
    """

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for transform in self.transforms:
            img = transform(img)
        return img

    def batch(self, images):
        if not all(offers(t, "batch", "__call__") for t in self.transforms):
            return NotImplemented
        for transform in self.transforms:
            images = images if images is NotImplemented else transform.batch(images)
        return images

    def __repr__(self):
        return "\n".join(["Compose(", *(f"    {transform}" for transform in self.transforms), ")"])


class Lambda:
    """Any function as a transform.

    Errors: TypeError if it cannot be called.
    """

    def __init__(self, lambd):
        if not callable(lambd):
            raise TypeError(f"[Lambda] found {type(lambd).__name__}, expected something that can be called")
        self.lambd = lambd

    def __call__(self, img):
        return self.lambd(img)

    def __repr__(self):
        return "Lambda()"


# Images --------------------------------------------------------------------------------------------------------------


def open_image(op, img):
    """The image as a raw array (..., H, W), and how to give one back in the form it came in."""
    restore: Callable
    if isinstance(img, Tensor):
        array, restore = img.array, wrap
    elif isinstance(img, np.ndarray):
        array, restore = channels_first(img), channels_last
    elif hasattr(img, "__array_interface__"):
        array, restore = channels_first(np.asarray(img)), _pil_image
    else:
        raise TypeError(f"[{op}] found {type(img).__name__}, expected a Tensor, an ndarray or a PIL image")
    if array.ndim < 2 or (not isinstance(img, Tensor) and array.ndim > 3):
        raise ValueError(f"[{op}] found the shape {np.shape(img)}, expected (H, W), (H, W, C) or a Tensor (..., H, W)")
    return array, restore


def channels_first(array):
    return np.moveaxis(array, -1, 0) if array.ndim == 3 else array


def channels_last(array):
    return np.ascontiguousarray(np.moveaxis(array, 0, -1)) if array.ndim == 3 else array


def _pil_image(array):
    from PIL import Image

    return Image.fromarray(channels_last(array))


def pair(op, size):
    """`size` as (height, width): one number stands for both."""
    size = (size, size) if isinstance(size, (int, np.integer)) else tuple(size) * (1 if len(size) == 2 else 2)
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise ValueError(f"[{op}] found the size {size}, expected one or two positive integers")
    return int(size[0]), int(size[1])
