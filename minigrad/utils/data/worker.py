"""worker: the loader's side that runs in another process.

Reading order: `Job`, `main`, then `serve` (the loop) and `listen` (the thread that hears of tasks and of the end).

Each worker has a pipe of its own: no lock and no queue is shared, so no process can leave another waiting by dying. A
thread takes the tasks from the pipe, so the loader never waits on a worker that is busy; and when the loader is done or
dead, the worker stops after the batch at hand, or after GRACE seconds in any case.
"""

import contextlib
import functools
import os
import pickle
import queue
import random as python_random
import shutil
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import random
from minigrad.backend.threads import set_num_threads
from minigrad.utils.data import worker_info
from minigrad.utils.data.fetch import make_fetcher
from minigrad.utils.data.transport import pack

STOP = b"stop"
HEARTBEAT = 1.0  # seconds between two looks whether the loader's process is still there
GRACE = 5.0  # seconds that a batch may still take when nobody wants it any more


@dataclass
class Job:
    """What a worker is told when it starts. `parent` is the process that forked it, or None if it was not forked."""

    id: int
    num_workers: int
    fetcher_arguments: tuple
    init_fn: Any
    folder: str
    parent: int | None


def main(pipe, job, inherited):
    """The life of a worker process. `inherited` are the loader's ends of pipes, which a fork has copied."""
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the loader decides what follows
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_num_threads(1)  # the processes are the parallelism
    tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    over = threading.Event()
    threading.Thread(target=listen, args=(pipe, tasks, over, job), daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(pipe, tasks, over, job)


def serve(pipe, tasks, over, job):
    """Begin epochs and answer tasks, each with (epoch, index, kind, message), until it is over."""
    fetch = epoch = None
    while (text := tasks.get()) is not None and not over.is_set():
        what, number, value = pickle.loads(text)
        if what == "epoch":
            fetch, epoch = begin(job, value, first=fetch is None), number
        else:
            pipe.send_bytes(pickle.dumps((epoch, number, *answer(fetch, value, job.folder))))


def begin(job, seed, first):
    """The fetcher of a new epoch; one that raises the same error at every call if there is an error now."""
    try:
        _seed(job, seed + job.id)
        if first and job.init_fn is not None:
            job.init_fn(job.id)
        return make_fetcher(*job.fetcher_arguments)
    except Exception as error:
        return functools.partial(_fail, error)


def _fail(error, _):
    raise error


def _seed(job, seed):
    worker_info._info = worker_info.WorkerInfo(job.id, job.num_workers, seed, job.fetcher_arguments[0])
    random.default_generator.manual_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed % 2**32)


def answer(fetch, request, folder):
    """("batch", message), ("error", message with type and traceback), or ("end", None) of a stream."""
    try:
        return "batch", pack(fetch(request), folder)
    except StopIteration:
        return "end", None
    except Exception as error:
        return "error", pack((_picklable(type(error)), traceback.format_exc()), folder)


def _picklable(kind):
    try:
        pickle.dumps(kind)
        return kind
    except Exception:
        return RuntimeError


def remove(folder):
    """Remove a folder that others may be removing, or writing to, at the same time."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return


def listen(pipe, tasks, over, job):
    """Pass tasks on until the loader says STOP or is gone; then see to it that this process ends too."""
    text = None
    with contextlib.suppress(EOFError, OSError):
        while text != STOP and os.getppid() == (job.parent or os.getppid()):
            if pipe.poll(HEARTBEAT) and (text := pipe.recv_bytes()) != STOP:
                tasks.put(text)
    if text != STOP:
        remove(job.folder)  # first: the process may end as soon as its main thread hears that it is over
    over.set()
    tasks.put(None)
    time.sleep(GRACE)
    os._exit(1)
