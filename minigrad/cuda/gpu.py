"""gpu: kernels on a real GPU: the same launches as on the simulator, started by `launcher.py`; streams and events.

Launches do not wait: they are put into CuPy's current stream, whose memory pool gives a freed block to nobody before
what was put there earlier has run. This needs a GPU; the tests run it on a stand-in for CuPy that simulates launches.
"""

from contextlib import contextmanager
from functools import cache, wraps

from minigrad.backend import gpu
from minigrad.cuda import blas, launcher, launches
from minigrad.cuda.trace import kernel_text


def _cupy(op):
    try:
        return gpu.load()
    except RuntimeError as error:
        raise RuntimeError(f"[{op}] there is no GPU: {error}") from None


# Launches ------------------------------------------------------------------------------------------------------------


@cache
def bodies():
    """Every kernel with a launch function: name -> what runs it on the GPU."""
    return {name: blas.preferred(name, _body(*row)) for name, row in launches.every().items()}


def _body(stem, function):
    starters = {}  # entry point -> what starts it

    def start_of(entry):
        if entry not in starters:
            starters[entry] = launcher.starter(kernel_text(entry), f"{stem}.cu", entry)
        return starters[entry]

    @wraps(function)
    def body(*args):
        plan = function(*args)
        if plan is NotImplemented:
            return plan
        for entry, grid, block, values, shared in plan:
            try:
                start = starters[entry]
            except KeyError:
                start = start_of(entry)
            start(grid, block, values, shared)
        return None

    body.launches, body.start = function, start_of  # for graphs
    return body


def start_own(text, name, entry, grid, block, args, shared=0):
    """Start a kernel of a user's source."""
    launcher.starter(text, name, entry)(grid, block, tuple(args), shared)


def forget():
    """Find all kernels anew."""
    bodies.cache_clear()
    launcher.forget()


# The device ----------------------------------------------------------------------------------------------------------


def current_device():
    """The number of the GPU in use. Errors: RuntimeError where there is none."""
    return _cupy("current_device").cuda.Device().id


def synchronize():
    """Wait until all that was put into any stream of the GPU in use has run. Errors: RuntimeError without a GPU."""
    _cupy("synchronize").cuda.Device().synchronize()


def memory_stats():
    """Bytes of CuPy's pool: in use by arrays, and held altogether. Errors: RuntimeError without a GPU."""
    pool = _cupy("memory_stats").get_default_memory_pool()
    return {"in_use": pool.used_bytes(), "held": pool.total_bytes()}


class Stream:
    """A queue of work on the GPU: what is put into one runs in order, different ones side by side.

    Errors: RuntimeError without a GPU.
    """

    def __init__(self, raw=None):
        self.raw = raw or _cupy("Stream").cuda.Stream(non_blocking=True)

    def synchronize(self):
        """Wait until all in it has run."""
        self.raw.synchronize()

    def query(self):
        """Whether all in it has run."""
        return self.raw.done

    def record_event(self, event=None):
        """An Event that has happened when all that is in the stream now has run."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        """Let what is put in from now on wait for an Event."""
        self.raw.wait_event(event.raw)

    def wait_stream(self, other):
        """Let what is put in from now on wait for all that is in another stream now."""
        self.wait_event(other.record_event())


class Event:
    """A mark in a stream.

    Args:
        enable_timing (bool): whether `elapsed_time` is wanted.
    Errors: RuntimeError without a GPU.
    """

    def __init__(self, enable_timing=False):
        self.raw = _cupy("Event").cuda.Event(disable_timing=not enable_timing)

    def record(self, stream=None):
        """Put the mark into a stream, the current one if none is given."""
        self.raw.record((stream or current_stream()).raw)

    def wait(self, stream=None):
        """Let a stream, the current one if none is given, wait for the mark."""
        (stream or current_stream()).wait_event(self)

    def query(self):
        """Whether the stream has come to the mark."""
        return self.raw.done

    def synchronize(self):
        """Wait until it has."""
        self.raw.synchronize()

    def elapsed_time(self, end):
        """Milliseconds from this mark to another one; both enable timing."""
        return _cupy("elapsed_time").cuda.get_elapsed_time(self.raw, end.raw)


def current_stream():
    """The Stream that launches are put into."""
    return Stream(_cupy("current_stream").cuda.get_current_stream())


@contextmanager
def stream(stream):
    """Inside the block launches are put into this Stream."""
    with stream.raw:
        yield stream
