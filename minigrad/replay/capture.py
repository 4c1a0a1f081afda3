"""capture: `step = minigrad.capture(function)` records a step once and then replays it with no Python in between.

Read in this order: `Captured` (what a call does), `Recording` (one eager run, listened to), then how a new program is
tested before it is trusted. What a recording means is worked out in trace.py, how it is run again in program.py (on
other devices in remote.py), and what must not have changed in guards.py.
"""

import contextlib
import sys
import threading
from functools import update_wrapper

from minigrad import kernel, mutation, recording
from minigrad.backend.array import copy, empty
from minigrad.backend.devices import CPU, move
from minigrad.backend.regions import root_of, uint8
from minigrad.grad_mode import mode
from minigrad.nn.module import Module
from minigrad.replay.guards import guards_of, hold
from minigrad.replay.program import places_of_result
from minigrad.replay.remote import program_of
from minigrad.replay.trace import Trace, difference
from minigrad.tensor import Tensor

ATTEMPTS = 6  # recordings in a row without two alike after which a step is given up
PROGRAMS = 8  # programs kept for one function; the one unused for longest goes first


class Captured:
    """A function whose later calls are replays of an earlier one. Made by `capture`."""

    def __init__(self, function):
        self.function = function
        self.programs = {}  # what the arguments are like -> [Replay], the last used at the end
        self.drafts = {}  # the same -> (Recording not yet confirmed, how many there were)
        self.lock = threading.Lock()
        update_wrapper(self, function, updated=())

    def __call__(self, *args, **kwargs):
        if recording.recorder is not None or kernel.backend_name() == "numpy":
            return self.function(*args, **kwargs)  # inside of another capture, or with nothing to replay on
        if not self.lock.acquire(blocking=False):
            return self.function(*args, **kwargs)  # in use by another thread, or by itself
        try:
            key, tensors = signature(args, kwargs)
            for replay in self.programs.get(key, ()):
                if replay.holds():
                    return replay.run(tensors)
            if any(s < 0 for t in tensors for s in t.array.strides):
                return self.function(*args, **kwargs)  # runs backwards through memory: rare enough
            return self.learn(key, tensors, args, kwargs)
        finally:
            self.lock.release()

    def learn(self, key, tensors, args, kwargs):
        """Run eagerly and record; two recordings alike make a program."""
        draft, tries = self.drafts.pop(key, (None, 0))
        before = [(a, copy(a)) for a in draft.trace.outside_written()] if draft else []
        now = Recording(self.function, tensors, args, kwargs)
        why = difference(draft.trace, now.trace) if draft else "it was recorded for the first time"
        if why is None:
            self.keep(key, Replay(now, before, self.function, args))
            return now.result
        say(f"{self.__name__}: recorded, {why}")
        if tries >= ATTEMPTS:
            raise RuntimeError(f"[capture] {self.__name__} does not repeat itself, so it cannot be replayed: {why}")
        self.drafts[key] = now, tries + 1
        return now.result

    def keep(self, key, replay):
        self.programs.setdefault(key, []).append(replay)
        if sum(map(len, self.programs.values())) > PROGRAMS:
            oldest = min((r for rs in self.programs.values() for r in rs), key=lambda r: r.used)
            for replays in self.programs.values():
                if oldest in replays:
                    replays.remove(oldest)
        say(f"{self.__name__}: replays from now on, {replay.program.parts_shown()}")


def signature(args, kwargs):
    """(what the arguments are like, their Tensors). Errors: TypeError for one that cannot be compared."""
    tensors = []
    key = tuple(_like(a, tensors) for a in args)
    if kwargs:
        key += tuple((name, _like(kwargs[name], tensors)) for name in sorted(kwargs))
    return (mode.enabled, *key), tensors


def _like(value, tensors):
    if isinstance(value, Tensor):
        tensors.append(value)
        array = value.array
        return type(array), array.shape, array.dtype, array.strides, value.node is not None
    if isinstance(value, (tuple, list)):
        return type(value), tuple(_like(v, tensors) for v in value)
    if isinstance(value, dict):
        return tuple((k, _like(v, tensors)) for k, v in value.items())
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"[capture] an argument is a {type(value).__name__}, expected Tensors and values that can be hashed"
        ) from None
    return type(value), value


class Recording:
    """One eager run of a step, and what was heard of it."""

    def __init__(self, function, tensors, args, kwargs):
        self.recorder = recording.Recorder()
        self.arrays = [t.array for t in tensors]
        before = root_of(empty((1,), uint8)).serial
        with listening(self.recorder):
            self.result = function(*args, **kwargs)
        self.trace = Trace(self.recorder, self.arrays, before)
        self.trace.result = places_of_result(self.result, self.trace)
        self.grads = [(t, t._grad) for t, _, _ in self.recorder.grads]


@contextlib.contextmanager
def listening(recorder):
    """Inside the block every kernel tells the recorder of its calls."""
    call = Module.__call__

    def heard(module, *args, **kwargs):
        recorder.modules.append(module)
        return call(module, *args, **kwargs)

    recording.recorder, Module.__call__ = recorder, heard
    kernel.forget_choices()
    try:
        yield
    finally:
        recording.recorder, Module.__call__ = None, call
        kernel.forget_choices()


class Replay:
    """A program with what it takes for granted and what it leaves behind."""

    count = 0

    def __init__(self, now, before, function, args):
        self.guards = [*guards_of(function, args, now.recorder), *grad_guards(now)]
        self.grads = [(t.__dict__, g) for t, g in now.grads]
        self.written = now.trace.outside_written()
        self.program = program_of(now.trace, [root_of(g.array) for _, g in now.grads if g is not None])
        self.use()
        self.test(now, before)

    def holds(self):
        return hold(self.guards)

    def use(self):
        Replay.count += 1
        self.used = Replay.count

    def run(self, tensors):
        self.use()
        result = self.program.run([t.array for t in tensors])
        for own, grad in self.grads:
            own["_grad"] = grad
        if self.written:
            mutation.touch_all(self.written, "capture")
        return result

    def test(self, now, before):
        """Take the recorded step back, replay it, and compare: the same bits, or the program is not to be trusted."""
        gradients = [g.array for _, g in now.grads if g is not None]
        arrays = [*self.written, *gradients, *(t.array for t in tensors_in(now.result))]
        eager, alike = [copy(a) for a in arrays], True
        try:
            for _ in range(self.program.trials):
                for array, old in before:
                    array[...] = old
                replayed = self.program.run(now.arrays, find=False)
                found = [*self.written, *gradients, *(t.array for t in tensors_in(replayed))]
                alike = alike and all(map(same_bits, eager, found))
        finally:
            for array, value in zip(arrays, eager, strict=True):
                array[...] = value
        if not alike:
            raise RuntimeError("[capture] the replay of the step gives other results than the step itself")


def same_bits(a, b):
    return move(a, CPU).tobytes() == move(b, CPU).tobytes()


def grad_guards(now):
    """A gradient that the step added to must be there again, and one that it made must not."""
    for tensor, was, cleared in now.recorder.grads:
        if not cleared:
            yield tensor.__dict__, "_grad", was


def tensors_in(result):
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, (tuple, list)):
        for item in result:
            yield from tensors_in(item)
    elif isinstance(result, dict):
        yield from tensors_in(list(result.values()))


def say(text):
    if kernel.tracing():
        print(f"[minigrad] capture {text}", file=sys.stderr)


def capture(function):
    """The same function, replayed: after two calls alike, later ones run its kernels from a list, without Python.

    The first calls run as ever and are recorded. When two recordings agree, memory is planned for the list, neighbours
    that work element by element are joined into one pass, and the list is run once against the eager results, bit for
    bit, before it is trusted. Every argument's shape and dtype, non-tensor arguments, modules and their mode,
    parameters, the optimizer's options and state, and the plain numbers that the function reads from its closure or
    globals are watched: on a change the step is recorded anew (`MINIGRAD_TRACE=1` says so).

    Args:
        function (callable): a step: forward, or forward, backward and optimizer. Its Tensors are arguments, or live
            as long as the step does.

    On the simulator a replay repeats the step's launches. On a GPU it is a CUDA graph: one launch for all of them. A
    stream takes note of the recorded calls, with memory of their own that nobody else is given; what changes from step
    to step (a learning rate, a count, a place in a random stream) is put into the graph's nodes before. Products of
    matrices are our own rungs there: no stream takes note of CuPy's cuBLAS. Where NVIDIA's driver is missing, or the
    extension that speaks to it, launches are repeated as on the simulator.

    What a replay does not do again is other Python code in the step: printing, counting, appending to a list. The
    memory of gradients (`p.grad`) is the same in every replay; results are new each time.

    Errors: RuntimeError if the step looks at a value (`item`, `numpy`, `if tensor`), computes with numpy, writes into
        an argument, returns a tensor whose graph is still needed, has modules with hooks, or is never twice the same.

    >>> import minigrad as mg
    >>> from minigrad import nn, optim
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> @mg.capture
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = mg.randn(8, 3), mg.zeros(8, 1)
    >>> losses = [step(x, y).item() for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """
    if not callable(function):
        raise TypeError(f"[capture] expected a function, found {type(function).__name__}")
    return Captured(function)


__all__ = ["capture"]
