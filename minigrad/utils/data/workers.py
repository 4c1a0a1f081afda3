"""workers: the loader's side that has other processes make the batches.

Reading order: `WorkerIterator` (requests out, answers in, batches in order), `Worker` (one process and its pipe),
`shut_down` (the one way out on every path: end of data, early break, error, Ctrl-C, exit of the program), `reraise`.

Answers are waited for together with the ends of the processes, so a worker that dies is noticed at once, however it
died.
"""

import contextlib
import copy
import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
import warnings
import weakref
from multiprocessing.connection import wait

from minigrad.utils.data.sampler import draw_seed
from minigrad.utils.data.transport import discard, make_folder, unpack
from minigrad.utils.data.worker import STOP, Job, main

PATIENCE = 1.0  # seconds that the workers have to end by themselves, then by request, before they are made to


class WorkerIterator:
    """Batches from worker processes.

    Requests are numbered. `waiting` has those sent that are not answered, `ready` the answers that came before their
    turn, `next` is the number whose turn it is.
    """

    def __init__(self, loader):
        self.loader = copy.copy(loader)  # the loader itself may hold this iterator: a cycle, which would live on
        self.epoch, self.closed = 0, False
        self.workers: list[Worker] = []
        self.waiting, self.ready, folder = {}, {}, make_folder()
        self._finalizer = weakref.finalize(self, shut_down, os.getpid(), self.workers, folder)
        with self._closed_by_errors():
            self._start_workers(folder)
        self.restart()

    @contextlib.contextmanager
    def _closed_by_errors(self):
        """What goes wrong among processes ends them all: nothing is half alive after an error or Ctrl-C."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _start_workers(self, folder):
        loader, context = self.loader, _context(self.loader.multiprocessing_context)
        parent = os.getpid() if context.get_start_method() == "fork" else None
        for i in range(loader.num_workers):
            job = Job(i, loader.num_workers, loader.fetcher_arguments, loader.worker_init_fn, folder, parent)
            self.workers.append(Worker(context, job, [worker.pipe for worker in self.workers]))

    def restart(self):
        """Begin an epoch. What is still under way belongs to the last one and is dropped when it comes."""
        for _, _, message in self.ready.values():
            discard(message)
        self.waiting, self.ready, self.next = {}, {}, 0
        self.epoch += 1
        seed = draw_seed(self.loader.generator)
        self.requests, self.turn = enumerate(self.loader.requests), itertools.cycle(self.workers)
        with self._closed_by_errors():
            for worker in self.workers:
                worker.active, worker.load = True, 0
                self._send(worker, ("epoch", self.epoch, seed))
            for _ in range(self.loader.prefetch_factor * len(self.workers)):
                self._request()

    def __iter__(self):
        return self

    def __next__(self):
        with self._closed_by_errors():
            answer = self._answer()
        if answer is None:
            if not self.loader.persistent_workers:
                self.close()
            raise StopIteration
        worker, kind, message = answer
        if kind == "error":
            reraise(worker, *unpack(message))
        return unpack(message)

    def _answer(self):
        """The next answer to hand out, with one more request sent for it; None when there are no more."""
        while self.waiting or self.ready:
            number = self.next if self.loader.in_order else next(iter(self.ready), None)
            if number not in self.ready:
                self._receive()
                continue
            self.next += 1
            answer = self.ready.pop(number)
            self._request()
            if answer[1] != "end":
                return answer
        return None

    def _request(self):
        worker = self._choose()
        number, request = next(self.requests, (None, None)) if worker else (None, None)
        if number is not None:
            self.waiting[number] = worker
            worker.load += 1
            self._send(worker, ("task", number, request))

    def _choose(self):
        """The next worker in turn whose stream has not ended; the one with the least to do if the order is free."""
        active = [worker for worker in self.workers if worker.active]
        if active and not self.loader.in_order:
            return min(active, key=lambda worker: worker.load)
        return next((w for w in self.turn if w.active), None) if active else None

    def _send(self, worker, message):
        try:
            worker.pipe.send_bytes(pickle.dumps(message))
        except OSError:
            worker.report_death()

    def _receive(self):
        """Wait until a worker answers or ends, and take what there is."""
        sources = [s for worker in self.workers for s in (worker.pipe, worker.process.sentinel)]
        found = wait(sources, self.loader.timeout or None)
        if not found:
            raise RuntimeError(f"[DataLoader] timed out: found no batch within {self.loader.timeout} seconds")
        for worker in self.workers:
            if worker.pipe in found:
                self._take(worker)
            elif worker.process.sentinel in found:
                worker.report_death()

    def _take(self, worker):
        try:
            epoch, number, kind, message = pickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            worker.report_death()
        if epoch != self.epoch:
            return discard(message)
        del self.waiting[number]
        worker.load -= 1
        worker.active = worker.active and kind != "end"
        self.ready[number] = worker, kind, message

    def close(self):
        """End the workers; nothing comes after."""
        self.closed = True
        self.waiting, self.ready = {}, {}
        self._finalizer()


class Worker:
    """One process, the pipe to it, how many requests it has, and whether its stream goes on."""

    def __init__(self, context, job, older):
        self.id, self.active, self.load = job.id, True, 0
        self.pipe, theirs = context.Pipe()
        inherited = [*older, self.pipe] if job.parent else []
        self.process = context.Process(target=main, args=(theirs, job, inherited), daemon=True)
        try:
            with _quiet_fork():
                self.process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise RuntimeError(
                f"[DataLoader] found something that {context.get_start_method()!r} cannot send to a worker ({error}), "
                "expected data set, collate_fn and worker_init_fn from the top level of a module"
            ) from error
        theirs.close()

    def report_death(self):
        """Errors: RuntimeError, always."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        cause = f"exit code {code}" if code is None or code >= 0 else f"signal {signal.Signals(-code).name}"
        hint = " (was memory short?)" if cause.endswith("SIGKILL") else ""
        raise RuntimeError(
            f"[DataLoader] worker {self.id} (process {self.process.pid}) ended with {cause}{hint}, expected a batch"
        )


def _context(chosen):
    return chosen if hasattr(chosen, "Process") else multiprocessing.get_context(chosen)


@contextlib.contextmanager
def _quiet_fork():
    """Python warns of forking beside threads. Native ones that kernels use are safe to fork; Python's own keep their
    warning.
    """
    with warnings.catch_warnings():
        if threading.active_count() == 1:
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def shut_down(owner, workers, folder):
    """End all workers, however busy, within a few seconds. In a process that only inherited them: nothing."""
    if os.getpid() != owner:
        return
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.pipe.send_bytes(STOP)
        worker.pipe.close()
    for insist in (None, "terminate", "kill"):
        end = time.monotonic() + PATIENCE
        for process in [worker.process for worker in workers if worker.process.is_alive()]:
            if insist:
                getattr(process, insist)()
            process.join(max(0.0, end - time.monotonic()))
    shutil.rmtree(folder, ignore_errors=True)


class _Readable(str):
    """KeyError prints the repr of its argument, in which a traceback is one long line."""

    __repr__ = str.__str__


def reraise(worker, kind, text):
    """Raise an error that a worker met, with its type if that takes one text, and its traceback as the text."""
    message = f"[DataLoader] worker {worker.id} met an error where a batch was expected. Its traceback:\n{text}"
    try:
        error = kind(_Readable(message))
    except Exception:
        error = RuntimeError(message)
    raise error
