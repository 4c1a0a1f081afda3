"""vision.datasets: image data sets by name.

Reading order: `idx` (the file format, every byte checked), `download` (mirrors, checksum, cache), `mnist` (the data
sets).
"""

from minigrad.vision.datasets.idx import read_idx
from minigrad.vision.datasets.mnist import MNIST, FashionMNIST

__all__ = ["MNIST", "FashionMNIST", "read_idx"]
