"""utils: what stands around training.

Reading order: `data` (data sets and loaders), then the two files that `save` and `load` stand on: `safetensors` (one
file format, every byte checked) and `atomic` (files that appear whole or not at all).
"""

from minigrad.utils import data

__all__ = ["data"]
