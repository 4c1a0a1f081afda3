"""trace: every access that a kernel makes of shared memory and of arrays, and what the accesses of a warp cost.

The lanes of a warp run one after the other in the simulator; what one instruction did in all of them is put together
again: the n-th time that a lane came there, with the n-th time that the others did. On a GPU such an access of

    global memory moves whole sectors of 32 bytes: the fewer, the better it is coalesced
    shared memory reaches 32 banks of 4 bytes at once: lanes that want different words of one bank wait for each other

What is counted are the instructions of the simulator's compiler: where a GPU loads a float4 at once, it may have four.
"""

import ctypes
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from minigrad.cuda import build, simulator
from minigrad.cuda.source import dtype_of, signatures

MOST = 1 << 20  # accesses that are kept
WRITE, ATOMIC, SHARED, VALUE_KNOWN = 1, 2, 4, 8
_EVENT = np.dtype(
    [("name", "u8"), ("address", "u8"), ("base", "u8"), ("value", "u8"), ("code", "u4"), ("block", "u4"),
     ("thread", "u2"), ("bytes", "u1"), ("kind", "u1")], align=True,
)  # fmt: skip
SECTOR, BANKS, WORD, WARP = 32, 32, 4, 32


class Cost(NamedTuple):
    """What the accesses of one line cost: of an array or variable, `kind` "global" or "shared", "read" or "write"; how
    many accesses of a warp, and per access how many sectors (global) or passes over the banks (shared; 1 is no
    conflict), and the least that would do for the bytes that the lanes wanted."""

    file: str
    line: int
    name: str
    kind: str
    verb: str
    accesses: int
    each: float
    least: float


class Trace:
    """What `tracing` found: `events` (a record for each access, as they happened), `grid` and `block`."""

    def __init__(self):
        self.events, self.grid, self.block = np.empty(0, _EVENT), (0, 0, 0), (0, 0, 0)
        self.names, self.library = {}, None

    def place(self, code):
        """(file, line) of an access, and (file, line) of what called the function that it was inlined from."""
        lines = simulator.source_lines(self.library, int(code))
        return lines[0] if lines else ("?", 0)

    def costs(self):
        """A `Cost` for each line and array, in the order in which they first happened."""
        found = {}
        for group in _warp_accesses(self.events):
            one = group[0]
            shared = bool(one["kind"] & SHARED)
            what = (self.place(one["code"]), self.names[int(one["name"])], shared, bool(one["kind"] & WRITE))
            found.setdefault(what, []).append(_passes(group) if shared else _sectors(group))
        return [_cost(what, pairs) for what, pairs in found.items()]


def _cost(what, pairs):
    (file, line), name, shared, write = what
    each, least = np.mean(pairs, axis=0)
    kind, verb = "shared" if shared else "global", "write" if write else "read"
    return Cost(file, line, name, kind, verb, len(pairs), float(each), float(least))


def _warp_accesses(events):
    """The events by what one instruction of one warp did at one time."""
    if not len(events):
        return []
    thread = np.stack([events["block"], events["thread"], events["code"]], 1).astype(np.int64)
    turn = _counted(thread)
    warp = np.stack([events["block"], events["thread"] // WARP, events["code"], turn], 1)
    _, first, which = np.unique(warp, axis=0, return_index=True, return_inverse=True)
    by_group = np.argsort(which.ravel(), kind="stable")
    groups = np.split(events[by_group], np.cumsum(np.bincount(which.ravel()))[:-1])
    return [groups[i] for i in np.argsort(first, kind="stable")]


def _counted(rows):
    """For each row, how many equal ones stand before it."""
    _, which = np.unique(rows, axis=0, return_inverse=True)
    which = which.ravel()
    order = np.argsort(which, kind="stable")
    begins = np.cumsum(np.bincount(which)) - np.bincount(which)
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - begins[which[order]]
    return turn


def _units(group, unit):
    """The numbers of the units of so many bytes that a warp's access touches."""
    begin, end = group["address"] // unit, (group["address"] + group["bytes"] - 1) // unit
    return np.unique(np.concatenate([np.arange(b, e + 1) for b, e in zip(begin, end, strict=True)]))


def _sectors(group):
    wanted = len(np.unique(group["address"])) * int(group["bytes"][0])
    return len(_units(group, SECTOR)), -(-wanted // SECTOR)


def _passes(group):
    """How often the banks are gone over: as often as one bank is asked for different words."""
    words = _units(group, WORD)
    return int(np.bincount((words % BANKS).astype(np.int64)).max()), -(-len(words) // BANKS)


@contextmanager
def tracing(kernel, block=-1, thread=-1, source=None, most=MOST):
    """Inside the block kernels run in mode "check", and the accesses of one of them are kept.

    Args:
        kernel (str): which.
        block, thread (int): of one block, of one thread only, counted along x first.
        source (str, optional): the text that it comes from, as given to `minigrad.cuda.compile`; csrc/cuda otherwise.
        most (int): how many accesses are kept.
    Yields: a Trace, filled when the block ends.
    """
    file = "kernel.cu" if source else f"{file_of(kernel)}.cu"
    library = simulator.load(source or kernel_text(kernel), file, "check")
    machine, trace = ctypes.CDLL(str(library.path)), Trace()
    begin, end = machine.cuda_sim_trace_begin, machine.cuda_sim_trace_end
    begin.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_size_t]
    end.restype = ctypes.c_size_t
    begin(kernel.encode(), block, thread, most)
    shape, events = (ctypes.c_uint * 6)(), ctypes.c_void_p()
    try:
        with simulator.simulate(mode="check"):
            yield trace
    finally:
        count = end(ctypes.byref(events), shape)
    trace.library, trace.grid, trace.block = library.path, tuple(shape[:3]), tuple(shape[3:])
    if count:
        trace.events = np.frombuffer(ctypes.string_at(events.value or 0, count * _EVENT.itemsize), _EVENT)
        trace.names = {int(p): ctypes.string_at(int(p)).decode() for p in np.unique(trace.events["name"])}


def file_of(kernel):
    """The stem of the file of csrc/cuda that has this kernel. Errors: KeyError for one that is nowhere."""
    for path in sorted(build.kernel_folder().glob("*.cu")):
        if kernel in signatures(build.kernel_text(path.stem, dtype_of(kernel))):
            return path.stem
    raise KeyError(f"[cuda] no kernel {kernel!r} in {build.kernel_folder()}")


def kernel_text(kernel):
    """The text of the file of csrc/cuda that has this kernel, in the form in which it has it."""
    return build.kernel_text(file_of(kernel), dtype_of(kernel))
