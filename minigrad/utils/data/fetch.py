"""fetch: from what a sampler yields to a batch. The same in this process and in a worker.

A fetcher is called with a list of indices (or one index, without batches) and raises StopIteration when a stream is at
its end.
"""

import itertools

from minigrad.utils.data.collate import default_collate
from minigrad.utils.data.dataset import IterableDataset, gather_batch, gather_samples


def make_fetcher(dataset, collate_fn, batch_size, batched, drop_last):
    if isinstance(dataset, IterableDataset):
        return StreamFetcher(dataset, collate_fn, batch_size, batched, drop_last)
    return IndexFetcher(dataset, collate_fn, batched)


class IndexFetcher:
    """Batches of a data set with indices: by one gather if it offers that, else sample by sample."""

    def __init__(self, dataset, collate_fn, batched):
        self.dataset, self.collate_fn, self.batched = dataset, collate_fn, batched

    def __call__(self, indices):
        if not self.batched:
            return self.collate_fn(self.dataset[indices])
        if self.collate_fn is default_collate:
            batch = gather_batch(self.dataset, indices)
            if batch is not NotImplemented:
                return batch
        return self.collate_fn(gather_samples(self.dataset, indices))


class StreamFetcher:
    """Batches of an IterableDataset. Its argument only says "one more"."""

    def __init__(self, dataset, collate_fn, batch_size, batched, drop_last):
        self.stream = iter(dataset)
        self.collate_fn, self.batch_size, self.batched, self.drop_last = collate_fn, batch_size, batched, drop_last

    def __call__(self, _):
        if not self.batched:
            return self.collate_fn(next(self.stream))
        samples = list(itertools.islice(self.stream, self.batch_size))
        if not samples or (self.drop_last and len(samples) < self.batch_size):
            raise StopIteration
        return self.collate_fn(samples)
