"""worker_info: what a worker process knows of itself (apart from `worker`, which only workers need)."""

from dataclasses import dataclass
from typing import Any

_info: "WorkerInfo | None" = None


@dataclass
class WorkerInfo:
    """The worker's number, how many there are, its seed in this epoch, and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info():
    """The WorkerInfo of the worker process that this is, or None in the main process.

    >>> from minigrad.utils.data import get_worker_info
    >>> get_worker_info() is None
    True
    """
    return _info
