"""utils.data: data sets and the loaders that make batches of them.

Reading order: `dataset` (what a data set is), `sampler` (in which order), `collate` (samples to a batch), `fetch`
(indices to a batch, by one gather where the data set can), `dataloader` (all of it together); then `workers` and
`worker` (the same in other processes, seen from here and from there), `worker_info` and `transport` (how a batch gets
here); `ahead` (batches that are copied to a GPU before they are used).
"""

from minigrad.utils.data.ahead import prefetch
from minigrad.utils.data.collate import default_collate, default_convert
from minigrad.utils.data.dataloader import DataLoader
from minigrad.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from minigrad.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from minigrad.utils.data.worker_info import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "prefetch",
    "random_split",
]
