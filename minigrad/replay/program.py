"""program: a trace made ready to run again: calls in order, memory planned, numbers that change found anew.

Calls with a C++ body are handed to the extension (csrc/program.cpp), which runs a whole stretch of them at once; the
others are called from here. Of what the step made, results get new memory in every replay; what somebody still held
when the recording ended (a gradient, say) keeps its memory and is written anew; all else shares one arena, in which two
buffers overlap only if one is used no more when the other is first used.
"""

import gc
import sys

from minigrad.backend.array import copy, empty
from minigrad.backend.cpu import new_program
from minigrad.backend.regions import arena, array_in, part, region, uint8
from minigrad.replay.trace import LIVE, Place, flat
from minigrad.tensor import Tensor, wrap

ALIGN = 512  # a GPU's kernels load 16 bytes at once, and CuPy's own memory begins so


class Program:
    """Replays a trace.

    Args: trace: the recording; its calls are taken from it, so that their arrays can go. holding: roots of memory that
    stays with its holders (gradients).
    """

    trials = 1  # how often it is tested

    def __init__(self, trace, holding):
        self.device, self.result = trace.device, trace.result
        self.native = self._native(trace)
        self.numbers = [Live(x) for x in trace.live]
        self.steps = self._split(trace)
        trace.calls.clear()  # the recorder's list: with it go the last arrays that only the step knew
        trace.places.clear()
        trace.made.clear()
        self._cast(trace, {id(root) for root in holding})
        self._lay_out(trace.buffers)
        for step in self.foreign:
            step.bind(self.array)

    # Building -------------------------------------------------------------------------------------------------------

    def _native(self, trace):
        return new_program([(b.address, b.nbytes) for b in trace.buffers])

    def _split(self, trace):
        """Stretches of native calls as numbers, calls of Python bodies as Foreign."""
        steps, first, count = [], 0, 0
        live = {id(x.value): x for x in self.numbers}
        for call, places in zip(trace.calls, trace.places, strict=True):
            numbers = numbers_of(call, live)
            if call.native is not None:
                count = 1 + self.native.add(call.native, tuple(call.args))
                for i, number in numbers:
                    number.arguments.append((count - 1, i))
                continue
            if count > first:
                steps.append(self.native.close(first, count))
                first = count
            steps.append(Foreign(call, places, numbers))
        return [*steps, self.native.close(first, count)] if count > first else steps

    def _cast(self, trace, holding):
        """Who plays what among the buffers."""
        self.foreign = [step for step in self.steps if isinstance(step, Foreign)]
        fixed = {p.buffer for step in self.foreign for p in flat(step.places)}  # Python bodies keep their arrays
        returned = {p.buffer for p in flat([self.result])}
        gc.collect()
        made = [b for b in trace.buffers if b.kind == "made"]
        held = {
            b for b in made if id(b.root) in holding or (b not in returned and sys.getrefcount(b.root) > REFERENCES)
        }
        self.kept = [b for b in trace.buffers if b.kind == "outside" or b in held]
        self.outputs = [b for b in made if b in returned - held - fixed]
        self.inputs = [b for b in trace.inputs if b not in fixed]
        self.staged = [p for p in trace.input_places if p.buffer in fixed]
        self.lasting = [b for b in made if b in (returned & fixed) - held] + [p.buffer for p in self.staged]
        self.shared = [b for b in made if b not in held | returned]

    def _lay_out(self, buffers):
        """Give all that is not kept its memory."""
        offsets, self.nbytes = plan(self.shared, self.lasting)
        self.arena, whole = arena(self.device, self.nbytes)
        self.memory = {b: region(b.root, self.device, b.address, b.nbytes) for b in self.kept}
        for b, offset in offsets.items():
            if self.native is not None:
                self.native.place(b.number, self.arena, offset)
            self.memory[b] = part(whole, offset, b.nbytes)
        for b in set(buffers).difference(self.kept):
            b.root = None

    def array(self, place):
        """The array of a place in memory that stays."""
        return array_in(self.memory[place.buffer], place)

    def parts_shown(self):
        """What there is to run, for a message."""
        return self.native.groups()

    # Running --------------------------------------------------------------------------------------------------------

    def run(self, arrays, find=True):
        """One replay on the arrays of the arguments; returns the result. `find`: ask for the live numbers anew."""
        for number in self.numbers if find else ():
            number.find(self.native)
        for b in self.inputs:
            self.native.place(b.number, arrays[b.number])
        for p in self.staged:
            self.array(p)[...] = arrays[p.buffer.number]
        fresh = {b: empty((b.nbytes,), uint8) for b in self.outputs}
        for b, memory in fresh.items():
            self.native.place(b.number, memory)
        for step in self.steps:
            self.native.run(step) if type(step) is int else step()
        return self._results(self.result, fresh, arrays)

    def _results(self, item, fresh, arrays):
        if isinstance(item, Place):
            b = item.buffer
            if b in fresh:
                return wrap(array_in(fresh[b], item))
            if b.kind == "input":
                return wrap(arrays[b.number])
            return wrap(self.array(item) if b.kind == "outside" else copy(self.array(item)))
        if isinstance(item, (tuple, list)):
            return type(item)(self._results(x, fresh, arrays) for x in item)
        if isinstance(item, dict):
            return {k: self._results(x, fresh, arrays) for k, x in item.items()}
        return item


REFERENCES = 2  # of a root that nobody else holds: that of its Buffer, and getrefcount's own


class Live:
    """A number that is found anew for every replay."""

    def __init__(self, value):
        self.value, self.arguments = value, []  # (call, argument) of the program
        self.finder = value.find

    def find(self, program):
        value = self.finder()
        if value != self.value:
            self.value = value
            for call, argument in self.arguments:
                program.set(call, argument, value)


class Foreign:
    """A call of a body that is not native. `numbers`: (argument, Live)."""

    def __init__(self, call, places, numbers):
        self.body, self.name, self.places, self.numbers = call.body, call.name, places, numbers
        self.args = [emptied(p, a) for a, p in zip(call.args, places, strict=True)]

    def bind(self, array):
        self.args = [bound(p, a, array) for p, a in zip(self.places, self.args, strict=True)]

    def __call__(self):
        for i, number in self.numbers:
            self.args[i] = number.value
        self.body(*self.args)


def numbers_of(call, live):
    """(argument, Live) for every number of a call that changes; `live` knows them by the id of their value."""
    return [(i, live[id(a)]) for i, a in enumerate(call.args) if type(a) in LIVE]


def emptied(place, value):
    """An argument without its arrays, which are to go."""
    if isinstance(place, list):
        return type(value)(emptied(p, v) for p, v in zip(place, value, strict=True))
    return value if place is None else None


def bound(place, value, array):
    """The argument with its arrays where they lie now."""
    if isinstance(place, list):
        return type(value)(bound(p, v, array) for p, v in zip(place, value, strict=True))
    return value if place is None else array(place)


def plan(shared, lasting):
    """Offsets in one arena, {buffer: offset}, and its size: the largest first, each at the lowest place free."""
    placed, offsets, end = [], {}, 0
    for b in lasting:
        offsets[b], end = end, end + padded(b.nbytes)
    base = end
    for b in sorted(shared, key=lambda b: (-b.nbytes, b.first)):
        at = base
        for start, stop, first, last in placed:  # in order of their start
            if first <= b.last and b.first <= last and start < at + padded(b.nbytes) and at < stop:
                at = stop
        offsets[b] = at
        placed.append((at, at + padded(b.nbytes), b.first, b.last))
        placed.sort()
        end = max(end, at + padded(b.nbytes))
    return offsets, end


def padded(nbytes):
    return -(-nbytes // ALIGN) * ALIGN


def places_of_result(result, trace):
    """What a step returned with a Place for every Tensor. Errors: RuntimeError if one can still be differentiated."""
    if isinstance(result, Tensor):
        if result.node is not None and result.node.inputs and not result.node.ends:
            raise RuntimeError(
                "[capture] the step returns a tensor whose graph is still there: a replay has none, so call backward "
                "inside of the step, detach() the result, or run it under no_grad()"
            )
        place = trace.place_of_result(result.array)
        if place.buffer.kind == "input" and place.label != trace.input_places[place.buffer.number].label:
            raise RuntimeError("[capture] the step returns a part of one of its arguments, which is not supported")
        return place
    if isinstance(result, (tuple, list)):
        return type(result)(places_of_result(x, trace) for x in result)
    if isinstance(result, dict):
        return {k: places_of_result(x, trace) for k, x in result.items()}
    return result
