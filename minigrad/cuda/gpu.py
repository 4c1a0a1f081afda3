"""gpu: kernels on a real GPU: the same launches as on the simulator, from cubins that CuPy loads; streams and events.

Launches do not wait: they are put into CuPy's current stream, whose memory pool gives a freed block to nobody before
what was put there earlier has run. This needs a GPU; the tests run it on a stand-in for CuPy that simulates launches.
"""

from contextlib import contextmanager
from functools import cache, wraps

import numpy as np

from minigrad.backend import devices, gpu
from minigrad.cuda import launches, simulator
from minigrad.cuda.cubin import cubin
from minigrad.cuda.source import signatures
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
    return {name: _body(*row) for name, row in launches.every().items()}


def _body(stem, function):
    @wraps(function)
    def body(*args):
        plan = function(*args)
        if plan is NotImplemented:
            return plan
        for launch in plan:
            _start(_entry(stem, launch.entry, launch.shared, current_device()), *launch)
        return None

    return body


def start_own(text, name, entry, grid, block, args, shared=0):
    """Start a kernel of a user's source."""
    _start(_function(text, name, entry, shared, current_device()), entry, grid, block, args, shared)


def _start(found, entry, grid, block, args, shared):
    function, parameters = found
    grid = _three(grid)
    if min(grid) > 0:
        function(grid, _three(block), _values(entry, parameters, args), shared_mem=shared)


@cache
def _entry(stem, entry, shared, device):
    return _function(kernel_text(entry), f"{stem}.cu", entry, shared, device)


@cache
def _function(text, name, entry, shared, device):
    """What CuPy starts an entry point of a source by on a device, and its parameters."""
    function = _module(text, name, device).get_function(entry)
    if shared > simulator.SHARED_LIMIT:
        function.max_dynamic_shared_size_bytes = shared
    return function, signatures(text)[entry].parameters


@cache
def _module(text, name, device):
    cupy = _cupy("cuda")
    return cupy.RawModule(path=str(cubin(text, name, cupy.cuda.Device(device).compute_capability).path))


def _values(entry, parameters, args):
    """The arguments as CuPy passes them by value: arrays without dimensions, of the declared types."""
    if len(args) != len(parameters):
        raise TypeError(f"[{entry}] found {len(args)} arguments, expected {', '.join(p.name for p in parameters)}")
    strided = any(p.ctype in simulator.structures for p in parameters)
    pairs = zip(parameters, args, strict=True)
    return tuple(_pointer(entry, p, a, strided) if p.pointer else simulator.number(entry, p, a) for p, a in pairs)


def _pointer(entry, parameter, array, strided):
    if array is None:
        return np.array(0, np.uint64)
    what = f"[{entry}] argument {parameter.name}"
    if devices.device_of(array) != gpu.DEVICE:
        raise TypeError(f"{what} lies on {devices.device_of(array)}, expected a GPU")
    simulator.check_elements(what, parameter, array, strided)
    return np.array(devices.address(array), np.uint64)


def _three(sizes):
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return sizes + (1,) * (3 - len(sizes))


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
