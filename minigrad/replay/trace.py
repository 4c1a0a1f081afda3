"""trace: what a recorded step did, in terms of buffers: which call reads and writes which bytes of which memory.

Every array of a recording lies in one buffer: an `input` of the step, an `outside` one that was there before it
(parameters, what an optimizer remembers), or one that the step `made`. What the step made must be written by a call
before a call reads it: else something computed it that was not heard, and a replay would be wrong.
"""

from minigrad.backend.array import is_array
from minigrad.backend.devices import CPU, device_of
from minigrad.backend.regions import address_of, extent, root_of
from minigrad.recording import LiveFloat, LiveInt

LIVE = (LiveInt, LiveFloat)


class Buffer:
    """Some memory that a step works on, from its first use (the number of a call) to its last.

    `number` is its place in the trace's list, `extent` its address and size, `root` the object that owns the memory.
    """

    def __init__(self, kind, number, extent, root, at):
        self.kind, self.number, (self.address, self.nbytes), self.root = kind, number, extent, root
        self.first = self.last = at
        self.written = False

    @property
    def label(self):
        """What it is to another recording of the same step."""
        return (self.kind, id(self.root) if self.kind == "outside" else self.number)


class Place:
    """How an array lies in a buffer."""

    __slots__ = ("buffer", "dtype", "offset", "shape", "strides")

    def __init__(self, buffer, array):
        self.buffer, self.offset = buffer, address_of(array) - buffer.address
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype

    @property
    def label(self):
        return self.buffer.label, self.offset, self.shape, self.strides, self.dtype


class Trace:
    """The calls of a recording with the places of their arrays: `calls[n].args` and `places[n]`, one for one.

    Args: recorder: what was heard. inputs: the arrays of the step's arguments. before: the newest buffer when it began.
    """

    def __init__(self, recorder, inputs, before):
        self.calls, self.live, self.before = recorder.calls, recorder.live, before
        self.made, self.devices = recorder.made, {device_of(a) for a in inputs}
        self.buffers, self.by_root, self.result = [], {}, None
        self.inputs = [Buffer("input", i, extent(a), root_of(a), -1) for i, a in enumerate(inputs)]
        self.input_places = [Place(b, a) for b, a in zip(self.inputs, inputs, strict=True)]
        self.buffers += self.inputs
        self.places = [self.places_of(n, call) for n, call in enumerate(self.calls)]

    @property
    def device(self):
        """Where all of it lies. Errors: RuntimeError where that are several places."""
        if len(self.devices) > 1:
            raise RuntimeError(f"[capture] the step works on {' and '.join(sorted(self.devices))}, expected one device")
        return next(iter(self.devices), CPU)

    def places_of(self, n, call):
        """For every argument its Place, a list of such, or None if it is no array; writes count after reads."""
        places = [self.place(n, a, call, i) for i, a in enumerate(call.args)]
        for written in flat(places[: call.outs]):
            if written.buffer.kind == "input":
                raise RuntimeError(f"[capture] {call.name} writes into an argument of the step, which is not supported")
            written.buffer.written = True
        return places

    def place(self, n, a, call, i):
        if isinstance(a, (tuple, list)):
            return [self.place(n, x, call, i) for x in a]
        if not is_array(a) or not a.size:
            return None
        self.devices.add(device_of(a))
        buffer = self.buffer_of(a, n)
        buffer.last = n
        if buffer.kind == "made" and not buffer.written and i >= call.outs:
            raise RuntimeError(
                f"[capture] {call.name}, argument {i + 1}: an array of shape {a.shape} was computed during the step, "
                "but by no op of minigrad, so it would not change when the step is replayed"
            )
        return Place(buffer, a)

    def buffer_of(self, a, n):
        root, address = root_of(a), address_of(a)
        for buffer in self.inputs:
            if buffer.root is root and buffer.address <= address < buffer.address + buffer.nbytes:
                return buffer
        buffer = self.by_root.get(id(root))
        if buffer is None:
            made = getattr(root, "serial", 0) > self.before or id(root) in self.made
            buffer = Buffer("made" if made else "outside", len(self.buffers), extent(root), root, n)
            self.by_root[id(root)] = buffer
            self.buffers.append(buffer)
        return buffer

    def place_of_result(self, a):
        """The place of an array that the step returns."""
        buffer = self.buffer_of(a, len(self.calls))
        if buffer.kind == "made" and not buffer.written and a.size:
            raise RuntimeError(f"[capture] the result of shape {a.shape} was computed by no op of minigrad")
        return Place(buffer, a)

    def outside_written(self):
        """The arrays outside of the step that it writes to."""
        found = {}
        for call, places in zip(self.calls, self.places, strict=True):
            for place, a in zip(flat(places[: call.outs]), flat(call.args[: call.outs]), strict=True):
                if place.buffer.kind == "outside":
                    found[address_of(a), a.shape, a.strides] = a
        return list(found.values())


def flat(items):
    """The places, or the arrays, in a list that may hold lists and dictionaries."""
    for item in items:
        if isinstance(item, (list, tuple, dict)):
            yield from flat(item.values() if isinstance(item, dict) else item)
        elif isinstance(item, Place) or (is_array(item) and item.size):
            yield item


def difference(a, b):
    """Why two traces are not of the same step: a text, or None if they are."""
    return calls_differ(a, b) or results_differ(a.result, b.result)


def results_differ(a, b):
    if isinstance(a, (tuple, list, dict)) and type(a) is type(b) and len(a) == len(b):
        if isinstance(a, dict):
            return results_differ(list(a.items()), list(b.items()))
        return next(filter(None, map(results_differ, a, b)), None)
    if isinstance(a, Place) and isinstance(b, Place):
        return None if a.label == b.label else "its result lies in memory that is no part of the step"
    return None if type(a) is type(b) and a == b else f"it returned {a!r}, then {b!r}"


def calls_differ(a, b):
    if len(a.calls) != len(b.calls):
        return f"it made {len(a.calls)} calls, then {len(b.calls)}"
    for x, y, xs, ys in zip(a.calls, b.calls, a.places, b.places, strict=True):
        if x.name != y.name or len(x.args) != len(y.args):
            return f"it called {x.name}, then {y.name} in its place"
        for i, (p, q, u, v) in enumerate(zip(xs, ys, x.args, y.args, strict=True)):
            if labels(p, u) != labels(q, v):
                return f"argument {i + 1} of {x.name} was {described(p, u)}, then {described(q, v)}"
    return None


def labels(place, value):
    if isinstance(place, list):
        return [labels(p, v) for p, v in zip(place, value, strict=True)]
    if place is not None:
        return place.label
    if is_array(value):
        return value.shape
    return "live" if type(value) in LIVE else value


def described(place, value):
    if place is None or isinstance(place, list):
        return repr(value)
    kind = {"made": "made by the step", "input": "an argument", "outside": "kept outside of the step"}
    return f"an array of shape {place.shape}, {kind[place.buffer.kind]}"
