"""state: `load_state_dict`. Everything is checked first, so that a state that does not fit changes nothing."""

from collections import namedtuple

from minigrad.grad_mode import no_grad
from minigrad.tensor import Tensor


class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """The names of the module that the state lacks, and the names of the state that the module lacks."""

    __slots__ = ()

    def __repr__(self):
        return super().__repr__() if any(self) else "<All keys matched successfully>"


def load_state(owner: str, expected: dict, state: dict, strict: bool) -> IncompatibleKeys:
    """Copy the tensors of `state` into those of `expected`, name by name; all problems are raised at once."""
    if not hasattr(state, "keys"):
        raise TypeError(f"[load_state_dict] state_dict is {type(state).__name__}, a dict was expected")
    keys = IncompatibleKeys([k for k in expected if k not in state], [k for k in state if k not in expected])
    common = [name for name in expected if name in state]
    problems = [p for name in common if (p := _problem(name, state[name], expected[name]))]
    if strict:
        problems = _key_problems(keys) + problems
    if problems:
        raise RuntimeError("\n    ".join([f"[load_state_dict] the state does not fit {owner}:", *problems]))
    with no_grad():
        for name in common:
            expected[name].copy_(state[name])
    return keys


def _key_problems(keys):
    return [
        f"{what} key(s): {', '.join(map(repr, names))}"
        for what, names in (("missing", keys.missing_keys), ("unexpected", keys.unexpected_keys))
        if names
    ]


def _problem(name, found, expected):
    if not isinstance(found, Tensor):
        return f"{name}: found {type(found).__name__}, expected a Tensor"
    if found.shape != expected.shape:
        return f"{name}: found shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    return None
