"""remote: a trace of another device made ready to run again: its calls in order, on memory of their own.

What a call is, its body does: launches, and CuPy's kernels where an op has none of its own. The simulator is given them
one by one. On a GPU, stretches of them become graphs once all has run that way: then a replay is a launch for each
stretch, whatever its length. A number that changes is put into the graph's nodes before (cuda/graph.py).
"""

from minigrad import recording
from minigrad.backend import devices
from minigrad.backend.array import assign
from minigrad.replay.program import Foreign, Program, numbers_of
from minigrad.replay.trace import flat


class Step(Foreign):
    """A call, and by what launches it may be done (`native`, a body of cuda/gpu.py), if its body is known."""

    def __init__(self, call, places, numbers):
        super().__init__(call, places, numbers)
        self.native, self.outs = call.native, call.outs
        self.is_constant = not numbers and not any(map(flat_list, places[call.outs :]))

    def values(self):
        """The numbers that change, as they are now."""
        return tuple(number.value for _, number in self.numbers)

    def planned(self):
        """The launches that it makes with these numbers."""
        for i, number in self.numbers:
            self.args[i] = number.value
        return self.native.launches(*self.args)

    @property
    def fits_a_graph(self):
        return not self.numbers or hasattr(self.native, "launches")


def flat_list(place):
    return list(flat([place]))


def program_of(trace, holding):
    """What replays a trace, wherever it was recorded."""
    return (Remote if trace.device in devices.REMOTE else Program)(trace, holding)


class Remote(Program):
    """Replays a trace of another device than the CPU."""

    trials = 3  # call by call, then the graphs, and these once more when other work has used the memory between

    def __init__(self, trace, holding):
        self.runs, self.graphs, self.parts = 0, devices.graphs(trace.device), []
        super().__init__(trace, holding)
        self.parts = self.steps

    def _native(self, trace):
        return None

    def _split(self, trace):
        live = {id(x.value): x for x in self.numbers}
        rows = zip(trace.calls, trace.places, strict=True)
        return [Step(call, places, numbers_of(call, live)) for call, places in rows]

    def _cast(self, trace, holding):
        """As on the CPU; what is found from nothing that changes, and written once, is found once and stays."""
        super()._cast(trace, holding)
        written = [p.buffer for step in self.steps for p in flat(step.places[: step.outs])]
        for step in self.steps:
            made = [p.buffer for p in flat(step.places[: step.outs])]
            step.is_constant = step.is_constant and step.name == CONSTANT and all(written.count(b) == 1 for b in made)
            if step.is_constant:
                self.lasting += [b for b in made if b in self.shared]
                self.shared = [b for b in self.shared if b not in made]

    def parts_shown(self):
        """What there is to run, for a message."""
        return [type(part).__name__ if type(part) is not Step else part.name for part in self.parts]

    def run(self, arrays, find=True):
        """One replay on the arrays of the arguments; returns the result. `find`: ask for the live numbers anew."""
        for number in self.numbers if find else ():
            number.find(None)
        recording.replaying = True
        try:
            with devices.on(self.device):
                return self._replay(arrays)
        finally:
            recording.replaying = False

    def _run_parts(self):
        if self.runs == 1:
            self.parts = list(self._joined())
        if self.runs == 0 and self.graphs:
            with self.graphs.apart():
                self._run_each()
        else:
            self._run_each()

    def _run_each(self):
        for part in self.parts:
            part()

    def _replay(self, arrays):
        for p in self.staged:
            assign(self.array(p), arrays[p.buffer.number])
        self._run_parts()
        self.runs += 1
        return self._results(self.result, {}, arrays)

    def _joined(self):
        """Graphs of stretches, and the calls between them; constants are done."""
        stretch: list = []
        for step in self.steps:
            if step.is_constant:
                continue
            if self.graphs and step.fits_a_graph and step.name != CONSTANT:
                stretch.append(step)
                continue
            if stretch:
                yield self.graphs.capture(stretch)
                stretch = []
            yield step
        if stretch:
            yield self.graphs.capture(stretch)


CONSTANT = "_compute"  # of backend/array.py: by numpy, on the CPU, unless it is given arrays
