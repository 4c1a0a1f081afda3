"""vision: image data sets and what is done to images before a model sees them.

Reading order: `datasets`, `transforms`.
"""

from minigrad.vision import datasets, transforms

__all__ = ["datasets", "transforms"]
