"""vision.transforms: from a stored image to what a model is fed.

Reading order: `base` (what a transform is; Compose), `pixel` (ToTensor, Normalize), `crop`, `flip`, then the two that
resample, `rotation` and `resize`.

An image is a Tensor (..., H, W), or an ndarray or PIL image (H, W) or (H, W, C); it comes back as it came, except from
ToTensor. Random transforms draw from minigrad's default generator (`minigrad.manual_seed`) or from the `generator` they
are given.
"""

from minigrad.vision.transforms.base import Compose, Lambda
from minigrad.vision.transforms.crop import CenterCrop, Pad, RandomCrop
from minigrad.vision.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from minigrad.vision.transforms.pixel import Normalize, ToTensor
from minigrad.vision.transforms.resample import InterpolationMode
from minigrad.vision.transforms.resize import Resize
from minigrad.vision.transforms.rotation import RandomRotation

__all__ = [
    "CenterCrop",
    "Compose",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
]
