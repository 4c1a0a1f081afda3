"""sampler: the order in which a loader takes samples.

A sampler is anything that yields indices and, if it can, knows how many (`len`); a batch sampler yields lists of them.
Reading order: in order, at random, by weight, then batches.
"""

import itertools
from typing import Generic, TypeVar

import numpy as np

from minigrad import random

T = TypeVar("T", covariant=True)


def draw_seed(generator=None):
    """A seed from `generator`, or from the default one."""
    return int((generator or random.default_generator).integers(0, 2**62, ()))


def fresh(generator):
    """`generator` itself, or a new one whose seed comes from the default one (which thus moves by one draw only)."""
    return random.Generator().manual_seed(draw_seed()) if generator is None else generator


def check_count(op, name, value):
    """Errors: ValueError unless `value` is a positive integer."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"[{op}] {name} is {value!r}, expected a positive integer")


class Sampler(Generic[T]):
    """Base of samplers: a subclass has `__iter__()` and, where it can tell, `__len__()`."""

    def __iter__(self):
        raise NotImplementedError(f"[Sampler] {type(self).__name__} has no __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, ..., len(data_source) - 1."""

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order, new in each epoch.

    Args:
        data_source: the data set; only its length is used.
        replacement: draw each index anew instead of going through a permutation.
        num_samples: how many, the length of the data set if None; permutations follow each other if it is more.
        generator: where the order comes from. With None each epoch seeds a new one from the default generator.
    Errors: TypeError if replacement is no bool, ValueError if num_samples is not positive.

    >>> import minigrad as mg
    >>> from minigrad.utils.data import RandomSampler
    >>> sorted(RandomSampler("abc", num_samples=6))
    [0, 0, 1, 1, 2, 2]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        if not isinstance(replacement, bool):
            raise TypeError(f"[RandomSampler] replacement is {replacement!r}, expected a bool")
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self):
        generator, n = fresh(self.generator), len(self.data_source)
        if self.replacement:
            return iter(generator.integers(0, n, (self.num_samples,)).tolist())
        rounds = (generator.permutation(n).tolist() for _ in itertools.count())
        return itertools.islice(itertools.chain.from_iterable(rounds), self.num_samples)

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order, new in each epoch."""

    def __init__(self, indices, generator=None):
        self.indices, self.generator = indices, generator

    def __iter__(self):
        return (self.indices[i] for i in fresh(self.generator).permutation(len(self.indices)).tolist())

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Index i with a probability proportional to weights[i].

    Args:
        weights: numbers that are not negative; their sum need not be 1.
        num_samples: how many to draw.
        replacement: whether an index can come again. Without, indices are taken one after the other from those left.
        generator: as in RandomSampler.
    Errors: ValueError for weights that are no such numbers, or too few of them above 0 to draw from.
    Source: without replacement, Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.

    >>> from minigrad.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0.0, 3.0, 0.0], 4))
    [1, 1, 1, 1]
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        check_count("WeightedRandomSampler", "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"[WeightedRandomSampler] replacement is {replacement!r}, expected a bool")
        self.weights = np.asarray(weights, np.float64)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator
        self._check_weights()

    def _check_weights(self):
        w = self.weights
        if w.ndim != 1 or not np.isfinite(w).all() or (w < 0).any():
            raise ValueError(f"[WeightedRandomSampler] found weights {str(w)[:80]}, expected a row of finite ones >= 0")
        needed = 1 if self.replacement else self.num_samples
        if (found := np.count_nonzero(w)) < needed:
            raise ValueError(f"[WeightedRandomSampler] found {found} weights above 0, expected at least {needed}")

    def __iter__(self):
        generator, possible = fresh(self.generator), np.flatnonzero(self.weights)
        weights = self.weights[possible] / self.weights.max()
        if self.replacement:
            edges = np.cumsum(weights)
            drawn = np.searchsorted(edges, _uniform(generator, self.num_samples) * edges[-1], side="right")
            return iter(possible[np.minimum(drawn, len(possible) - 1)].tolist())
        clocks = (
            -np.log1p(-_uniform(generator, len(possible))) / weights
        )  # exponential: the first to ring is drawn first
        return iter(possible[np.argsort(clocks, kind="stable")[: self.num_samples]].tolist())

    def __len__(self):
        return self.num_samples


def _uniform(generator, n):
    """Doubles in [0, 1) with all their 53 bits: float32 has too few for many weights."""
    return generator.integers(0, 2**53, (n,)) / 2.0**53


class BatchSampler(Sampler[list]):
    """Lists of `batch_size` indices of another sampler; the last may be shorter, or is left out with `drop_last`.

    >>> from minigrad.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        check_count("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"[BatchSampler] drop_last is {drop_last!r}, expected a bool")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self):
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + bool(rest and not self.drop_last)
