"""dataloader: batches of a data set, made here or by worker processes.

Reading order: `DataLoader` (its arguments, then `__iter__`), then the checks. Without workers an epoch is `map(fetch,
batches of indices)` and nothing more.
"""

import itertools

from minigrad.utils.data.collate import default_collate, default_convert
from minigrad.utils.data.dataset import IterableDataset
from minigrad.utils.data.fetch import make_fetcher
from minigrad.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed


class DataLoader:
    """Iterates over a data set in batches.

    The order of batches does not depend on `num_workers`. Each epoch draws one seed from `generator`; worker w seeds
    minigrad's, Python's and numpy's random numbers with that seed plus w. Workers are started as multiprocessing does
    by default on this platform and Python (fork on Linux before 3.14, else forkserver or spawn: then the data set must
    be picklable and a script needs `if __name__ == "__main__":`); `multiprocessing_context` chooses otherwise.

    Args:
        dataset: a Dataset, anything with `__getitem__` and `__len__`, or an IterableDataset.
        batch_size: samples per batch; None hands out single samples.
        shuffle: a new random order in each epoch.
        sampler: indices to take instead of all in order.
        batch_sampler: lists of indices to take, instead of batch_size, shuffle, sampler and drop_last.
        num_workers: processes that make batches; 0 makes them here.
        collate_fn: list of samples -> batch; `default_collate` if None. With that one, data sets of arrays are not
            looped over.
        pin_memory: put the Tensors of batches (and what else has a method `pin_memory`) into memory from which a GPU
            copies by itself: `x.cuda(non_blocking=True)` does not wait then. Without a GPU there is a warning.
        pin_memory_device: accepted; there is one kind of pinned memory.
        drop_last: leave out a last batch that is shorter.
        timeout: seconds to wait for a batch from the workers; 0 waits as long as they live.
        worker_init_fn: called with the worker's number when a worker starts, after seeding.
        multiprocessing_context: a start method ("fork", "forkserver", "spawn") or a context of multiprocessing.
        generator: where the order and the seeds come from; the default one if None.
        prefetch_factor: batches that each worker is ahead; 2 if None.
        persistent_workers: keep the workers between epochs.
        in_order: hand out batches in the order of the indices; if False, as they come.
    Errors: ValueError for arguments that exclude each other; RuntimeError if a worker dies or times out; an error in a
        worker is raised here with its type and traceback.

    >>> import minigrad as mg
    >>> from minigrad.utils.data import DataLoader, TensorDataset
    >>> for x, y in DataLoader(TensorDataset(mg.arange(3.0), mg.arange(3)), batch_size=2):
    ...     print(x, y)
    tensor([0., 1.]) tensor([0, 1])
    tensor([2.]) tensor([2])
    """

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        _check_stream(dataset, shuffle, sampler, batch_sampler)
        _check_batching(batch_size, shuffle, sampler, batch_sampler, drop_last)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset, self.generator, self.in_order = dataset, generator, in_order
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.multiprocessing_context, self.persistent_workers = multiprocessing_context, persistent_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.batch_size = None if batch_sampler is not None else batch_size
        self.drop_last = drop_last
        self.sampler = sampler if sampler is not None else self._default_sampler(shuffle)
        self.batch_sampler = self._default_batch_sampler() if batch_sampler is None else batch_sampler
        batched = self.batch_sampler is not None
        self.collate_fn = collate_fn if collate_fn is not None else default_collate if batched else default_convert
        self._iterator = None

    def _default_sampler(self, shuffle):
        if isinstance(self.dataset, IterableDataset):
            return itertools.repeat(None)
        return RandomSampler(self.dataset, generator=self.generator) if shuffle else SequentialSampler(self.dataset)

    def _default_batch_sampler(self):
        return None if self.batch_size is None else BatchSampler(self.sampler, self.batch_size, self.drop_last)

    @property
    def requests(self):
        """What a fetcher is called with, one after the other."""
        if isinstance(self.dataset, IterableDataset):
            return itertools.repeat(None)
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    @property
    def fetcher_arguments(self):
        return self.dataset, self.collate_fn, self.batch_size, self.batch_sampler is not None, self.drop_last

    def __iter__(self):
        batches = self._iterate()
        if not self.pin_memory:
            return batches
        from minigrad.utils.data.ahead import pinned_batches

        return pinned_batches(batches)

    def _iterate(self):
        if self.num_workers:
            return self._iterate_workers()
        draw_seed(self.generator)  # workers would be seeded with it: the order of samples is the same without them
        return map(make_fetcher(*self.fetcher_arguments), self.requests)

    def _iterate_workers(self):
        from minigrad.utils.data.workers import WorkerIterator

        if self._iterator is None or self._iterator.closed:
            iterator = WorkerIterator(self)
            self._iterator = iterator if self.persistent_workers else None
            return iterator
        self._iterator.restart()
        return self._iterator

    def __len__(self):
        """The number of batches. Errors: TypeError if the data set or the sampler has no length."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self.requests)
        length = len(self.dataset)  # type: ignore[arg-type]  # a stream may have a length
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __getstate__(self):
        return self.__dict__ | {"_iterator": None}


def _check_stream(dataset, shuffle, sampler, batch_sampler):
    if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError("[DataLoader] an IterableDataset has its own order: found shuffle, sampler or batch_sampler")


def _check_batching(batch_size, shuffle, sampler, batch_sampler, drop_last):
    if sampler is not None and shuffle:
        raise ValueError("[DataLoader] sampler and shuffle exclude each other, found both")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("[DataLoader] batch_sampler excludes batch_size, shuffle, sampler and drop_last, found both")
    if batch_size is None and drop_last:
        raise ValueError("[DataLoader] batch_size=None makes no batches, so drop_last=True has nothing to drop")


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers):
    if num_workers < 0 or timeout < 0:
        raise ValueError(f"[DataLoader] num_workers is {num_workers} and timeout {timeout}, expected neither below 0")
    if num_workers == 0 and (prefetch_factor is not None or persistent_workers):
        raise ValueError("[DataLoader] prefetch_factor and persistent_workers expect num_workers > 0, found 0")
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"[DataLoader] prefetch_factor is {prefetch_factor}, expected at least 1")
