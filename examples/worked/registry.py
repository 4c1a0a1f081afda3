"""How an entry of the worked examples is registered, and what it gives back.

Read `entry`, then `found` and `Case`. An entry is a function whose arguments are the inputs of the data file; it
returns what the framework computed, under the names that the data file expects, and the cases in which the document's
formula was tried.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ENTRIES: dict[str, Callable] = {}


class Case(NamedTuple):
    """The document's formula in one situation (`when`): what it `states` there, and what is `right`."""

    when: str
    states: Any
    right: Any


@dataclass
class Finding:
    """What an entry computed: named values, possibly nested, and the cases that decide the verdict on a formula."""

    values: dict
    cases: list[Case] = field(default_factory=list)


def entry(*ids: str) -> Callable:
    """Registers the function under each of `ids`; an id that is taken already is an error."""

    def register(function: Callable) -> Callable:
        for name in ids:
            if name in ENTRIES:
                raise ValueError(f"[entry] id {name} is registered twice")
            ENTRIES[name] = function
        return function

    return register


def found(cases: list[Case] | tuple = (), **values) -> Finding:
    """The finding with these values and cases, Tensors turned into plain numbers and lists."""
    return Finding(plain(values), [Case(when, plain(states), plain(right)) for when, states, right in cases])


def plain(value: Any) -> Any:
    """`value` with every Tensor in it replaced by a number or a nested list."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
