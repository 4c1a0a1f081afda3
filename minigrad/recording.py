"""recording: what `capture` hears of a step while it runs. Off, it costs a test of `recorder` here and there.

Everything that writes into an array tells the recorder: kernels by way of the dispatch (`kernel.py`), copies and
constants by way of `backend/array.py`. Gradients, and numbers that Python finds anew for every step, report themselves.
"""

import threading

recorder = None  # the Recorder of the step that is being recorded, or None
replaying = False  # whether a recorded step's bodies are called again


class Recorder:
    """What happened in one step, in order; every array of it is kept alive, so that an address means one array."""

    def __init__(self):
        self.thread, self.depth = threading.get_ident(), 0
        self.calls = []  # Call
        self.live = []  # numbers to be found anew, in the order they were asked for
        self.grads = []  # (tensor, what its grad was, whether it was cleared), as they were first touched
        self.modules = []  # modules that were called
        self.optimizers = []
        self.made = {}  # id -> what holds the memory of an array that was made on another device than the CPU


class Call:
    """One write: `body(*args)`, of which the first `outs` arguments are written; `native` is the C++ body, if any."""

    __slots__ = ("args", "body", "name", "native", "outs")

    def __init__(self, name, body, native, outs, args):
        self.name, self.body, self.native, self.outs, self.args = name, body, native, outs, args


class LiveInt(int):
    """A number whose value in this step is this, and which `find` gives for the next."""


class LiveFloat(float):
    """As LiveInt."""


def here():
    """The recorder, if this thread is the one that is recorded."""
    return recorder if recorder is not None and recorder.thread == threading.get_ident() else None


def live(find):
    """`find()`, a number; when a recorded step is replayed it is asked for again."""
    value, now = find(), here()
    if now is None:
        return value
    value = (LiveInt if isinstance(value, int) else LiveFloat)(value)
    value.find = find
    now.live.append(value)
    return value


def made(root):
    """Note that `root` holds memory of an array that is new."""
    now = here()
    if now is not None:
        now.made[id(root)] = root


def refuse(what):
    """Raise if a step is being recorded: what it was about to do cannot be replayed."""
    if here() is not None:
        raise RuntimeError(f"[capture] {what}: a captured step cannot look at values, return the tensor instead")


def heard(name, body, native, outs):
    """A body that tells the recorder of its calls, but not of those it makes itself."""

    def call(*args):
        now = here()
        if now is None or now.depth:
            return body(*args)
        now.depth += 1
        try:
            body(*args)
        finally:
            now.depth -= 1
        now.calls.append(Call(name, body, native, outs, args))

    return call


def stepped(optimizer):
    """Note that an optimizer made a step."""
    now = here()
    if now is not None:
        now.optimizers.append(optimizer)


def note(name, body, native, outs, args):
    """Tell the recorder of a write that was made outside of the kernels."""
    now = here()
    if now is not None and not now.depth:
        now.calls.append(Call(name, body, native, outs, args))


def touched(tensor, cleared=False):
    """Note the grad of `tensor` as it is before it is added to, or cleared."""
    now = here()
    if now is not None and all(t is not tensor for t, _, _ in now.grads):
        now.grads.append((tensor, tensor._grad, cleared))
