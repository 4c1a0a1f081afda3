"""Optimizer: parameter groups, the state kept per parameter, and the step over all of them.

An optimizer is one method: `update` changes the arrays of many parameters by one kernel of `ops/optim_step.py`. Groups,
checks, what may go together into one call, and the state dictionary are here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from operator import is_

from minigrad import mutation, recording
from minigrad.backend.array import Arrays, assign, copy, full_like
from minigrad.dtypes import is_floating
from minigrad.grad_mode import enable_grad
from minigrad.nn.parameter import clear_grads
from minigrad.tensor import Tensor, wrap


class Optimizer:
    """Base class of the optimizers: write `update(params, grads, states, group)` and give the defaults of its options.

    Args:
        params: tensors, or dictionaries `{"params": tensors, "lr": ...}` that give a group options of its own.
        defaults: option -> value for the groups that do not say otherwise.
    Errors: TypeError for a single Tensor, a set or something that is no Tensor; ValueError for no parameter at all, a
        non-leaf, a parameter named twice, or an option outside its `bounds`.

    >>> from minigrad import nn, optim
    >>> model = nn.Linear(2, 1)
    >>> optimizer = optim.SGD([{"params": [model.weight], "weight_decay": 0.1}, {"params": [model.bias]}], lr=0.5)
    >>> [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    [(0.5, 0.1), (0.5, 0)]
    """

    live = ("lr",)  # options that may change from step to step: `option` finds them
    bounds = {"lr": (0, inf), "weight_decay": (0, inf)}  # option -> (low, high), low <= value < high

    def __init__(self, params: Iterable, defaults: dict):
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = self._as_list(params)
        if not groups:
            raise ValueError(f"[{self._name()}] got an empty parameter list, at least one parameter was expected")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def update(self, params: Arrays, grads: Arrays, states: Sequence[dict], group: dict) -> None:
        """Change the arrays `params` by their gradients; `states` is what is remembered of each, `group` the options.

        They are C-contiguous, of one dtype, and of one `phase`.
        """
        raise NotImplementedError(f"[{self._name()}] has no update, a method `update` was expected")

    def phase(self, state: dict):
        """What the parameters of one `update` must have in common beside the dtype, such as a count of steps."""
        return None

    def step(self, closure: Callable | None = None):
        """Update every parameter that has a gradient.

        Args: closure: computes the loss anew, gradients included; called first, and its value returned.

        >>> import minigrad as mg
        >>> w = mg.tensor([1.0], requires_grad=True)
        >>> optimizer = mg.optim.SGD([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5]
        """
        loss = _evaluate(closure) if closure is not None else None
        recording.stepped(self)
        for group in self.param_groups:
            self._update_group(group)
        return loss

    def _update_group(self, group):
        batches, batch, last = {}, None, None
        states, phase = self.state, self.phase
        for p in group["params"]:
            grad = p._grad
            if grad is not None:
                array, state = p.array, states[p]
                key = array.dtype, phase(state)
                if key != last:  # nearly always all are alike
                    batch, last = batches.setdefault(key, []), key
                batch.append((array, grad.array, state))
        for batch in batches.values():
            self._update_batch(batch, group)

    def _update_batch(self, batch, group):
        arrays, grads, states = zip(*batch, strict=True)
        params = _in_order(arrays)
        self.update(params, _in_order(grads), states, group)
        if not all(map(is_, arrays, params)):
            for array, values in zip(arrays, params, strict=True):
                assign(array, values)
        mutation.touch_all(arrays, self._name())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros (`set_to_none=False`)."""
        clear_grads(self._parameters(), set_to_none)

    # Groups -----------------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict) -> None:
        """Add a group, for instance of layers unfrozen later; options it does not name come from `defaults`."""
        if not isinstance(param_group, dict):
            raise TypeError(f"[{self._name()}] found a group of type {type(param_group).__name__}, a dict was expected")
        group = {**param_group, "params": self._as_list(param_group["params"], single=True)}
        for option, default in self.defaults.items():
            group.setdefault(option, default)
        self._check_parameters(group["params"])
        self.check_options(group)
        self.param_groups.append(group)

    def _as_list(self, params, single=False):
        if isinstance(params, Tensor):
            if single:
                return [params]
            raise TypeError(f"[{self._name()}] params is a Tensor, an iterable of Tensors or dicts was expected")
        if isinstance(params, (set, frozenset)):
            raise TypeError(
                f"[{self._name()}] params is a {type(params).__name__}, which has no order: expected a list"
            )
        return list(params)

    def _check_parameters(self, params):
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"[{self._name()}] one of the params is {type(p).__name__}, a Tensor was expected")
            if not p.is_leaf:
                raise ValueError(f"[{self._name()}] cannot optimize a non-leaf Tensor of shape {tuple(p.shape)}")
            if not is_floating(p.dtype):
                raise ValueError(f"[{self._name()}] found a parameter of dtype {p.dtype}, a floating one was expected")
            if id(p) in seen:
                raise ValueError(f"[{self._name()}] a parameter of shape {tuple(p.shape)} appears twice, expected once")
            seen.add(id(p))

    def check_options(self, group):
        for option, (low, high) in self.bounds.items():
            values = group[option] if isinstance(group[option], (tuple, list)) else (group[option],)
            if not all(low <= value < high for value in values):
                raise ValueError(f"[{self._name()}] {option} is {group[option]}, expected {low} <= {option} < {high}")

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """`{"state": {index: ...}, "param_groups": [...]}`, parameters replaced by their index over all groups.

        >>> from minigrad import nn, optim
        >>> optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5).state_dict()["param_groups"][0]["params"]
        [0, 1]
        """
        index = {id(p): i for i, p in enumerate(self._parameters())}
        groups = [{**group, "params": [index[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {index[id(p)]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over options and state from `state_dict`; tensors are copied, in the dtype of their parameter.

        Errors: ValueError when the groups differ in number or in size.
        """
        groups = state_dict["param_groups"]
        found, expected = ([len(group["params"]) for group in g] for g in (groups, self.param_groups))
        if found != expected:
            raise ValueError(f"[load_state_dict] found groups of {found} parameters, expected {expected}")
        by_index = dict(zip((i for group in groups for i in group["params"]), self._parameters(), strict=True))
        for mine, group in zip(self.param_groups, groups, strict=True):
            mine.update({**group, "params": mine["params"]})
        self.state = defaultdict(dict)
        for i, values in state_dict["state"].items():
            self.state[by_index[i]] = {name: _restored(v, by_index[i], name) for name, v in values.items()}

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]

    @classmethod
    def _name(cls):
        return cls.__name__

    def __repr__(self):
        lines = [f"{self._name()} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {option}: {group[option]}" for option in sorted(group) if option != "params"]
        return "\n".join([*lines, ")"])


def remembered(states, name, params, value=0):
    """The arrays that `states` hold under `name`; made on first use, like `params` and filled with `value`."""
    try:
        return Arrays([state[name].array for state in states])
    except (KeyError, AttributeError):  # nothing there, or None
        for state, p in zip(states, params, strict=True):
            if state.get(name) is None:
                state[name] = wrap(full_like(p, value))
        return remembered(states, name, params)


def count_step(states):
    """Count one more step in states that have seen as many steps each: how many these are now, anew in each replay."""
    return recording.live(lambda: _count(states))


def _count(states):
    for state in states:
        state["step"] = state.get("step", 0) + 1
    return states[0]["step"]


def rate(group):
    """The learning rate of a group, which a scheduler may change: found anew in each replay."""
    return recording.live(lambda: group["lr"])


def _in_order(arrays):
    """The arrays, or copies where they are not C-contiguous: kernels want that order."""
    return Arrays([a if a.flags.c_contiguous else copy(a) for a in arrays])


def _evaluate(closure):
    with enable_grad():
        return closure()


def _restored(value, parameter, name):
    """A state value as the optimizer keeps it: counts as numbers, tensors as copies in the parameter's dtype."""
    if name == "step":
        return int(value)
    return value.to(parameter.dtype).clone() if isinstance(value, Tensor) else value
