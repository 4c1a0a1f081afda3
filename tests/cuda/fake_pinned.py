"""Pinned memory and copies that do not wait, for the stand-in for CuPy (fake_cupy.py).

A copy is made when something waits for it, as late as on a GPU it could be; pinned memory that is let go is full of
other things at once. So whoever lets go, or reads, too early gets what is wrong.
"""

import ctypes
from functools import cache

from tests.cuda import fake_cupy

let_go: list = []  # memory that nobody holds any more; it stays, so that a late copy reads what is wrong and no more


class Pinned:
    """What all sizes of pinned memory have in common: CuPy's `PinnedMemoryPointer`."""


@cache
def kind(size):
    def give_back(self):
        self.memory[:] = b"\xab" * size
        let_go.append(self.memory)

    return type("PinnedMemoryPointer", (ctypes.c_char * size, Pinned), {"__del__": give_back})


def alloc_pinned_memory(size):
    memory = bytearray(size)
    out = kind(size).from_buffer(memory)
    out.memory = memory
    return out


class Stream(fake_cupy.Stream):
    """What is put into it is done when something waits for it; launches are not put into it."""

    def __init__(self, non_blocking=False):
        super().__init__(non_blocking)
        self.queue, self.ran = [], 0

    def run(self, until):
        while self.ran < until:
            self.queue[self.ran]()
            self.ran += 1

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        event.happen()

    def synchronize(self):
        super().synchronize()
        self.run(len(self.queue))


class Event:
    def __init__(self, block=False, disable_timing=False):
        self.stream, self.at = None, 0

    def record(self, stream=None):
        self.stream = stream or fake_cupy.Stream.current[-1]
        self.at = len(self.stream.queue)

    @property
    def done(self):
        return self.stream.ran >= self.at

    def happen(self):
        self.stream.run(self.at)


class Pointer:
    def __init__(self, held):
        self.held, self.ptr = held, held.ctypes.data

    def copy_from_host_async(self, address, size, stream):
        held = self.held
        stream.queue.append(lambda: ctypes.memmove(held.ctypes.data, address, size))


def install(monkeypatch):
    """Give the stand-in pinned memory, and streams whose copies are made late."""
    monkeypatch.setattr(fake_cupy.cuda, "alloc_pinned_memory", alloc_pinned_memory, raising=False)
    monkeypatch.setattr(fake_cupy.cuda, "PinnedMemoryPointer", Pinned, raising=False)
    monkeypatch.setattr(fake_cupy.cuda, "Stream", Stream)
    monkeypatch.setattr(fake_cupy.cuda, "Event", Event)
    monkeypatch.setattr(fake_cupy.Stream, "current", [Stream()])
    monkeypatch.setattr(fake_cupy.ndarray, "data", property(lambda x: Pointer(x.held)))
