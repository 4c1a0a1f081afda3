"""containers: modules that hold modules. Read `Numbered` first, what Sequential, ModuleList and ParameterList share.

The members of a list are registered under "0", "1", ...; inserting or deleting one numbers them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from minigrad.nn.fusion import plan
from minigrad.nn.module import Module, indented
from minigrad.nn.parameter import Parameter
from minigrad.nn.tree import MODULE, PARAMETER
from minigrad.tensor import Tensor


class Numbered(Module):
    """A module whose members of one kind are a Python list: indices, slices, append, extend, insert, pop, +, +=."""

    _kind = MODULE

    def __init__(self, members: Iterable = ()):
        super().__init__()
        self.extend(members)

    def _items(self) -> dict:
        return self._members(self._kind)

    def _check(self, member):
        if not isinstance(member, Module):
            found, name = type(member).__name__, type(self).__name__
            raise TypeError(f"[{name}] found a member of type {found}, a Module was expected")
        return member

    def _replace_all(self, members):
        for name in list(self._items()):
            delattr(self, name)
        self.extend(members)

    def _name(self, index):
        names = list(self._items())
        try:
            return names[index]
        except IndexError:
            name = type(self).__name__
            raise IndexError(f"[{name}] index {index} is out of range, {len(names)} members were found") from None

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator:
        return iter(self._items().values())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, member) -> None:
        self._register(self._name(index), self._check(member), self._kind)

    def __delitem__(self, index) -> None:
        members = list(self)
        del members[index if isinstance(index, slice) else list(self._items()).index(self._name(index))]
        self._replace_all(members)

    def append(self, member):
        """Add a member at the end; returns self."""
        name = str(len(self))
        if name in self._kinds:
            raise KeyError(f"[{type(self).__name__}] a member called '{name}' is there already")
        self._register(name, self._check(member), self._kind)
        return self

    def extend(self, members: Iterable):
        """Add all of `members` at the end; returns self."""
        if isinstance(members, (str, Mapping)) or not isinstance(members, Iterable):
            found, name = type(members).__name__, type(self).__name__
            raise TypeError(f"[{name}] found {found}, an iterable of members was expected")
        for member in list(members):
            self.append(member)
        return self

    def insert(self, index: int, member):
        """Put a member before the one at `index`; returns self."""
        members = list(self)
        if not -len(members) <= index <= len(members):
            name = type(self).__name__
            raise IndexError(f"[{name}] index {index} is out of range, {len(members)} members were found")
        members.insert(index, self._check(member))
        self._replace_all(members)
        return self

    def pop(self, index: int = -1):
        """Take out the member at `index` and return it."""
        member = self[index]
        del self[index]
        return member

    def __add__(self, other: Iterable):
        return type(self)([*self, *other])

    def __iadd__(self, other: Iterable):
        return self.extend(other)


class Sequential(Numbered):
    """Modules called one after the other: `x -> f3(f2(f1(x)))`.

    Args: modules, or one dict name -> module.
    Errors: TypeError for a member that is no Module.

    >>> from minigrad import nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    _steps = None  # what forward calls, see fusion.py

    def __init__(self, *modules):
        named = len(modules) == 1 and isinstance(modules[0], Mapping)
        super().__init__(() if named else modules)
        for name, module in modules[0].items() if named else ():
            self.add_module(name, self._check(module))

    def forward(self, x):
        steps = self._steps
        if steps is None:
            steps = self.__dict__["_steps"] = plan(list(self._items().values()))
        for step in steps:
            x = step(x)
        return x

    # The plan is made anew after any change of this module's attributes.

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        self.__dict__["_steps"] = None

    def __delattr__(self, name):
        super().__delattr__(name)
        self.__dict__["_steps"] = None

    def _register(self, name, value, kind):
        super()._register(name, value, kind)
        self.__dict__["_steps"] = None

    def __getstate__(self):
        return {**self.__dict__, "_steps": None}

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(dict(list(self._items().items())[index]))
        return super().__getitem__(index)

    def __add__(self, other: Iterable):
        return type(self)(*self, *other)

    def __mul__(self, times: int):
        """The same modules `times` times over, sharing their parameters."""
        if not isinstance(times, int) or times < 1:
            raise ValueError(f"[Sequential] can be repeated a positive number of times, found {times!r}")
        return type(self)(*list(self) * times)

    __rmul__ = __mul__


class ModuleList(Numbered):
    """A list of modules that are registered; it has no `forward`.

    Args: modules: an iterable of Modules.
    Errors: TypeError for a member that is no Module; IndexError for an index out of range.

    >>> from minigrad import nn
    >>> nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def _child_lines(self):
        runs = [
            (text, [i for i, _ in run]) for text, run in groupby(enumerate(map(repr, self)), key=lambda item: item[1])
        ]
        return [
            f"({run[0]}): {indented(text)}" if len(run) == 1 else f"({run[0]}-{run[-1]}): {len(run)} x {indented(text)}"
            for text, run in runs
        ]


class ParameterList(Numbered):
    """A list of parameters that are registered; Tensors become Parameters.

    Args: values: an iterable of Tensors.
    Errors: TypeError for a member that is no Tensor.

    >>> import minigrad as mg
    >>> [name for name, _ in mg.nn.ParameterList([mg.zeros(2), mg.ones(3)]).named_parameters()]
    ['0', '1']
    """

    _kind = PARAMETER

    def _check(self, member):
        if not isinstance(member, Tensor):
            raise TypeError(f"[ParameterList] found a member of type {type(member).__name__}, a Tensor was expected")
        return member if isinstance(member, Parameter) else Parameter(member)

    def _child_lines(self):
        return [
            f"({i}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
            for i, p in enumerate(self)
        ]


class ModuleDict(Module):
    """A dict of modules that are registered; it has no `forward`.

    Args: modules: a dict name -> Module, or an iterable of such pairs.
    Errors: KeyError for a name that is not there, or that is taken by a method of this class.

    >>> from minigrad import nn
    >>> choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
    >>> choices["tanh"], "relu" in choices, list(choices)
    (Tanh(), True, ['relu', 'tanh'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        super().__init__()
        self.update(modules)

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]  # a KeyError, if it is not there
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: Any) -> bool:
        return name in self._modules

    def keys(self):
        """The names."""
        return self._modules.keys()

    def values(self):
        """The modules."""
        return self._modules.values()

    def items(self):
        """The pairs of name and module."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add all of `modules`, in their order."""
        for name, module in dict(modules).items():
            self[name] = module

    def pop(self, name: str) -> Module:
        """Take out the module of that name and return it."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Take out all modules."""
        for name in list(self):
            del self[name]
