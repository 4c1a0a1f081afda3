"""guards: what a captured step takes for granted of the world around it, looked at again before every replay.

A guard is (dictionary, key, value): the dictionary must still hold this very object under this key. So a parameter that
was replaced, frozen or given other memory, a layer that was switched to evaluation, a hook that was added, or a number
that the function reads from outside is noticed for the price of a lookup.
"""

import numpy as np

from minigrad.nn.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor

PLAIN = (bool, int, float, str, type(None))


def guards_of(function, args, recorder):
    """All guards of a step that was just recorded: an iterable of (dictionary, key, value)."""
    found, seen = [], set()
    for owner, key, value in surroundings(function):
        if isinstance(value, (*PLAIN, np.ndarray, Module, Optimizer, Tensor)):
            found.append((owner, key, value))
        visit(value, found, seen)
    for value in (*args, *recorder.modules, *recorder.optimizers):
        visit(value, found, seen)
    touched = [tensor for tensor, _, _ in recorder.grads]
    for tensor in touched:
        visit(tensor, found, seen)
    return [g for g in found if g[1] != "_grad" or all(g[0] is not t.__dict__ for t in touched)]


class Cells:
    """The closure of a function as a dictionary is one: by name."""

    def __init__(self, function):
        self.cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def get(self, name):
        try:
            return self.cells[name].cell_contents
        except ValueError:  # not yet assigned
            return None


def surroundings(function):
    """(dictionary, name, value) of what a function reads: closure, globals, the object it is a method of."""
    holder = getattr(function, "__self__", None)
    if holder is not None and hasattr(holder, "__dict__"):
        yield from ((holder.__dict__, name, value) for name, value in list(holder.__dict__.items()))
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        return
    cells = Cells(function)
    yield from ((cells, name, cells.get(name)) for name in cells.cells)
    names = set(function.__code__.co_names)
    yield from ((function.__globals__, n, function.__globals__[n]) for n in names if n in function.__globals__)


def visit(value, found, seen):
    """Guards of a tensor, a module with all below it, or an optimizer; of anything else none."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        found += [(value.__dict__, "array", value.array), (value.__dict__, "node", value.__dict__.get("node"))]
    elif isinstance(value, Module):
        visit_module(value, found, seen)
    elif isinstance(value, Optimizer):
        visit_optimizer(value, found, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            visit(item, found, seen)


def visit_module(module, found, seen):
    if module._hooks is not None:
        raise RuntimeError(f"[capture] {type(module).__name__} has hooks, which a replay would not call: remove them")
    own = module.__dict__
    found += [(own, "training", own["training"]), (own, "_hooks", None), (own, "forward", own.get("forward"))]
    for name, value in list(own.items()):
        if isinstance(value, PLAIN) and name != "training":
            found.append((own, name, value))
        if name in module._kinds:
            found.append((own, name, value))
            visit(value, found, seen)


def visit_optimizer(optimizer, found, seen):
    found += [(optimizer.__dict__, name, optimizer.__dict__[name]) for name in ("state", "param_groups")]
    for group in optimizer.param_groups:
        found += [(group, k, v) for k, v in group.items() if k not in optimizer.live]
        visit(group["params"], found, seen)
        found += [(p.__dict__, "_grad", p._grad) for p in group["params"]]
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, Tensor):
                found.append((state, name, value))
                visit(value, found, seen)


def hold(guards):
    """Whether nothing has changed."""
    for owner, key, value in guards:  # noqa: SIM110 (this runs before every replay, and all() takes twice as long)
        if owner.get(key) is not value:
            return False
    return True
