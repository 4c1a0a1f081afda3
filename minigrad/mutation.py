"""mutation: the log of in-place writes, so that a gradient is never computed from values that have since changed.

One clock ticks for graph nodes and for writes. A node remembers when it was made; an array, when it was last written. A
saved array whose last write is newer than the node that saved it is an error. Nothing is paid for on the way forward.

Views share the memory of their owner, so the log is kept per owner; it forgets an owner when that dies.
"""

import itertools
import os
import sys
import weakref

from minigrad.backend.array import is_array, owner

clock = itertools.count(1)
_last = 0  # time of the newest write to anything: most nodes are younger and need no look at the log
_log = {}  # id(owner) -> Write
_HOME = os.path.join(os.path.dirname(__file__), "")  # who writes from a file in here is not the user


class Write:
    """The writes to one owner: how many, and of the last one its time, op and place in the user's code."""

    __slots__ = ("count", "op", "place", "ref", "time")

    def __init__(self, array):
        key = id(array)
        self.count, self.ref = 0, weakref.ref(array, lambda _: _log.pop(key, None))


def touch(array, op):
    """Note that `op` has written into `array`."""
    touch_all((array,), op, 3)


def touch_all(arrays, op, depth=2):
    """Note that `op` has written into each of `arrays`, at one moment; the user's code is `depth` frames up or more."""
    global _last
    now = _last = next(clock)
    place = _caller(depth)
    for array in arrays:
        holder = owner(array)
        write = _log.get(id(holder))
        if write is None:
            write = _log[id(holder)] = Write(holder)
        write.count += 1
        write.time, write.op, write.place = now, op, place


def version(array):
    """How many in-place writes the memory of `array` has seen."""
    write = _log.get(id(owner(array)))
    return write.count if write else 0


def check(node):
    """Raise if an array that `node` saved was written to after it was saved."""
    if node.time > _last:
        return
    for array in (*node.saved, *node.args):
        write = _log.get(id(owner(array))) if is_array(array) else None
        if write is not None and write.time > node.time:
            line = _line(*write.place)
            raise RuntimeError(
                f"[{node.name()}] an array of shape {array.shape} that its backward needs was changed in place by "
                f"[{write.op}] at {line} after it was saved: clone() it first, or use the out-of-place form"
            )


def _caller(depth):
    """The user's code that is running, and the place in it."""
    frame = sys._getframe(depth)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HOME):
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _line(code, place):
    """File and line: found when somebody asks, for that takes longer than the write."""
    line = next((line for start, end, line in code.co_lines() if start <= place < end), None)
    return f"{code.co_filename}:{line}"
