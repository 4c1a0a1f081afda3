"""pinned: memory of the CPU that a GPU copies from by itself, while both go on.

A copy from pinned memory is put into a stream like a launch, so neither end of it may be used for other things before
it has been made: what it reads is held until an event behind it has happened. `Ahead` makes copies in a stream of its
own, beside what is computed.
"""

from collections import deque

import numpy as np

from minigrad.backend import gpu
from minigrad.backend.array import owner

_held: deque = deque()  # (event behind a copy, what the copy reads), the oldest first


def pinned(x):
    """`x`, or a copy of it in C order, in pinned memory. Errors: RuntimeError where there is no GPU."""
    if is_pinned(x):
        return x
    cupy = gpu.load()
    memory = cupy.cuda.alloc_pinned_memory(max(x.nbytes, 1))
    out = np.frombuffer(memory, np.uint8, x.nbytes).view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def is_pinned(x):
    """Whether an array of the CPU lies in pinned memory."""
    if gpu.cupy is None or not isinstance(x, np.ndarray):
        return False
    base = owner(x).base
    return isinstance(getattr(base, "obj", base), gpu.cupy.cuda.PinnedMemoryPointer)


def to_gpu(x, stream=None):
    """A copy of `x` on the GPU, made in a stream (the current one); it is waited for unless `x` lies in pinned memory.

    The GPU's memory is the current stream's in any case.
    """
    if not (is_pinned(x) and x.flags.c_contiguous):
        return gpu.from_host(x)
    out = gpu.empty(x.shape, x.dtype)
    stream = stream or gpu.cupy.cuda.get_current_stream()
    if x.size:
        out.data.copy_from_host_async(x.ctypes.data, x.nbytes, stream)
        hold(stream, x)
    return out


def hold(stream, x):
    """Keep `x` until all that is in the stream now has run."""
    while _held and _held[0][0].done:
        _held.popleft()
    event = gpu.cupy.cuda.Event(disable_timing=True)
    event.record(stream)
    _held.append((event, x))


class Ahead:
    """Copies to the GPU beside what the current stream does, each known by the event behind it."""

    device = gpu.DEVICE

    def __init__(self):
        self.stream = gpu.load().cuda.Stream(non_blocking=True)

    def begin(self):
        """Copies begin when what is in the current stream now has run: their memory may be in use until then."""
        self.stream.wait_event(gpu.cupy.cuda.get_current_stream().record())

    def copy(self, x):
        """A copy of `x` on the GPU, by way of pinned memory."""
        return to_gpu(pinned(x), self.stream)

    def end(self):
        """What `wait` is given for all copies so far."""
        return self.stream.record()

    def wait(self, event):
        """Let the current stream wait for copies."""
        gpu.cupy.cuda.get_current_stream().wait_event(event)
