"""pixel: transforms of each pixel's value, ToTensor and Normalize."""

import numpy as np

from minigrad import mutation
from minigrad.dtypes import get_default_dtype, is_floating, uint8
from minigrad.tensor import Tensor, wrap
from minigrad.vision.transforms.base import Transform, open_image


class ToTensor(Transform):
    """An image as a float Tensor (C, H, W): y = x / 255 for uint8, 0 and 1 for bool, the very values otherwise.

    Shape: (H, W) -> (1, H, W), (H, W, C) -> (C, H, W); a Tensor (H, W) -> (1, H, W), (C, H, W) stays.
    Errors: TypeError for what is no image.

    >>> import numpy as np
    >>> from minigrad.vision.transforms import ToTensor
    >>> ToTensor()(np.array([[0, 51, 255]], np.uint8))
    tensor([[[0.0000, 0.2000, 1.0000]]])
    """

    def __call__(self, pic):
        array, _ = open_image("ToTensor", pic)
        return wrap(self.batch(array[None])[0])

    def batch(self, images):
        images = images[:, None] if images.ndim == 3 else images
        if images.dtype == uint8:
            scaled = images.astype(get_default_dtype(), order="C")
            return np.divide(scaled, 255, out=scaled)
        return images.astype(get_default_dtype() if images.dtype == bool else images.dtype, order="C")


class Normalize(Transform):
    """y = (x - mean) / std, channel by channel.

    Args:
        mean, std: one number for each channel.
        inplace: write into the given Tensor.
    Shape: (..., C, H, W).
    Errors: TypeError if the image is no float Tensor; ValueError for another number of channels or a std of 0.

    >>> import minigrad as mg
    >>> from minigrad.vision.transforms import Normalize
    >>> Normalize((1.0,), (2.0,))(mg.tensor([[[1.0, 5.0]]]))
    tensor([[[0., 2.]]])
    """

    def __init__(self, mean, std, inplace=False):
        self.mean, self.std, self.inplace = mean, std, inplace
        self._mean, self._std = (np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (mean, std))
        if not self._std.all():
            raise ValueError(f"[Normalize] std is {std}, expected no 0")

    def __call__(self, tensor):
        if not isinstance(tensor, Tensor) or not is_floating(tensor.dtype):
            found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"[Normalize] found {found}, expected a float Tensor (ToTensor makes one)")
        out = self.batch(tensor.array)
        if not self.inplace:
            return wrap(out)
        mutation.touch(tensor.array, "Normalize")
        return tensor

    def batch(self, images):
        channels = images.shape[-3] if images.ndim >= 3 else 0
        if not channels or {len(self._mean), len(self._std)} - {1, channels}:
            raise ValueError(
                f"[Normalize] found {len(self._mean)} means and {len(self._std)} stds for the shape {images.shape}, "
                "expected (..., C, H, W) and C or 1 of each"
            )
        out = np.subtract(images, self._mean.astype(images.dtype), out=images if self.inplace else None)
        return np.divide(out, self._std.astype(images.dtype), out=out)

    def __repr__(self):
        return f"Normalize(mean={self.mean}, std={self.std})"
