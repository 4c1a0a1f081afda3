"""dataset: what a data set is, and the ones made of tensors and of other data sets.

Reading order: `Dataset` and `IterableDataset`, then `gather_batch` and `gather_samples` (how many samples are had at
once), then the data sets.

A data set of arrays may offer `__getbatch__(indices)`: the batch that `default_collate` would make of these samples,
had by one gather instead of a loop, or `NotImplemented` where it has no such way. PyTorch's `__getitems__(indices)`, a
list of samples, is used too. Neither is used where a subclass has overridden `__getitem__` since, because it would be
passed by.
"""

import bisect
import itertools
import math
import warnings
from typing import Generic, TypeVar

import numpy as np

from minigrad import random

T = TypeVar("T", covariant=True)


class Dataset(Generic[T]):
    """Samples by index: a subclass has `__getitem__(index)` and `__len__()`. The sum of two is one after the other.

    >>> from minigrad.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __getitem__(self, index):
    ...         return index**2
    ...
    ...     def __len__(self):
    ...         return 3
    >>> list((Squares() + Squares())[i] for i in range(6))
    [0, 1, 4, 0, 1, 4]
    """

    def __getitem__(self, index):
        raise NotImplementedError(f"[Dataset] {type(self).__name__} has no __getitem__")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """Samples in a stream: a subclass has `__iter__()`. In worker processes each has a copy: see `get_worker_info` to
    share the work.
    """

    def __iter__(self):
        raise NotImplementedError(f"[IterableDataset] {type(self).__name__} has no __iter__")

    def __add__(self, other):
        return ChainDataset([self, other])


def offers(obj, fast, slow):
    """Whether `obj` has the method `fast` and no subclass has overridden `slow` since, which `fast` would pass by."""
    for kind in type(obj).__mro__:
        if fast in vars(kind):
            return True
        if slow in vars(kind):
            return False
    return False


def gather_batch(dataset, indices):
    """The collated batch if `dataset` can give it at once, else NotImplemented."""
    return dataset.__getbatch__(indices) if offers(dataset, "__getbatch__", "__getitem__") else NotImplemented


def gather_samples(dataset, indices):
    """The samples as a list."""
    if offers(dataset, "__getitems__", "__getitem__"):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in indices]


class TensorDataset(Dataset):
    """Sample i is (t[i] for each tensor t).

    Args:
        *tensors: Tensors of the same length.
    Errors: ValueError if the lengths differ.

    >>> import minigrad as mg
    >>> from minigrad.utils.data import TensorDataset
    >>> TensorDataset(mg.tensor([[1.0], [2.0]]), mg.tensor([3, 4]))[1]
    (tensor([2.]), tensor(4))
    """

    def __init__(self, *tensors):
        if not tensors or len({len(t) for t in tensors}) != 1:
            raise ValueError(f"[TensorDataset] found lengths {[len(t) for t in tensors]}, expected equal ones")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __getbatch__(self, indices):
        rows = np.asarray(indices, np.int64)
        return [tensor[rows] for tensor in self.tensors]

    def __len__(self):
        return len(self.tensors[0])


class StackDataset(Dataset):
    """Sample i is (d[i] for each data set d), as a tuple or, when they are given by name, a dict.

    Errors: ValueError if the lengths differ or data sets are given in both ways.
    """

    def __init__(self, *args, **kwargs):
        if bool(args) == bool(kwargs):
            raise ValueError("[StackDataset] expected data sets either by position or by name")
        self.datasets = args or kwargs
        lengths = [len(d) for d in args or kwargs.values()]
        if len(set(lengths)) != 1:
            raise ValueError(f"[StackDataset] found lengths {lengths}, expected equal ones")
        self._length = lengths[0]

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self):
        return self._length


class Subset(Dataset[T]):
    """Sample i is dataset[indices[i]].

    >>> from minigrad.utils.data import Subset
    >>> Subset("abcdef", [4, 0])[0]
    'e'
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx):
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        return gather_samples(self.dataset, [self.indices[i] for i in indices])

    def __getbatch__(self, indices):
        return gather_batch(self.dataset, [self.indices[i] for i in indices])

    def __len__(self):
        return len(self.indices)


class ConcatDataset(Dataset[T]):
    """The samples of several data sets, one after the other.

    Errors: ValueError if there are none or one is an IterableDataset; IndexError out of range.
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets or any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ValueError("[ConcatDataset] expected one or more data sets, none of them an IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __getitem__(self, idx):
        if not -len(self) <= idx < len(self):
            raise IndexError(f"[ConcatDataset] index {idx} out of range for {len(self)} samples")
        idx %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which][idx - self.cumulative_sizes[which] + len(self.datasets[which])]

    def __len__(self):
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset):
    """The streams of several IterableDatasets, one after the other."""

    def __init__(self, datasets):
        self.datasets = datasets

    def __iter__(self):
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self):
        return sum(len(d) for d in self.datasets)


def random_split(dataset, lengths, generator=None):
    """Disjoint random subsets.

    Args:
        lengths: sizes that sum to len(dataset); or fractions that sum to 1, whose rests go to the first subsets, one
            each.
        generator: where the permutation comes from; the default one if None.
    Errors: ValueError if the sizes do not sum to the length or a fraction is not within 0 and 1.

    >>> from minigrad.utils.data import random_split
    >>> [len(part) for part in random_split(range(10), [0.5, 0.25, 0.25])]
    [6, 2, 2]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _sizes(len(dataset), lengths)
    if sum(lengths) != len(dataset):
        raise ValueError(f"[random_split] found lengths {list(lengths)}, expected a sum of {len(dataset)}")
    order = iter((generator or random.default_generator).permutation(len(dataset)).tolist())
    return [Subset(dataset, list(itertools.islice(order, length))) for length in lengths]


def _sizes(total, fractions):
    if not all(0 <= f <= 1 for f in fractions):
        raise ValueError(f"[random_split] found fractions {list(fractions)}, expected each within 0 and 1")
    sizes = [math.floor(total * f) for f in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    if 0 in sizes:
        warnings.warn(f"[random_split] subset {sizes.index(0)} of {sizes} is empty", stacklevel=3)
    return sizes
