"""tree: what a Module has registered, and how the tree of modules is walked. `Module` adds to it what a layer does.

Read in this order: what an assignment registers (`__setattr__`, `register_*`), then the walks (`named_*`, `get_*`).

A registered value is a plain attribute, so reading `self.weight` costs what any attribute costs; `_kinds` remembers
which names are registered, as what, and in which order.
"""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"
EXPECTED = {PARAMETER: "a Parameter", BUFFER: "a Tensor", MODULE: "a Module"}


class Tree:
    """Parameters, buffers and child modules under their names: the base of `Module`."""

    def __init__(self):
        self.training = True
        self._kinds = {}
        self._not_saved = set()

    # Registration -----------------------------------------------------------------------------------------------------

    def __setattr__(self, name, value):
        kind = PARAMETER if isinstance(value, Parameter) else MODULE if isinstance(value, Tree) else None
        if kind is not None:
            self._register(name, value, kind)
        else:
            self._check_fits(name, value)
            object.__setattr__(self, name, value)

    def __delattr__(self, name):
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._not_saved.discard(name)

    def _check_fits(self, name, value):
        kind = self.__dict__.get("_kinds", {}).get(name)
        if kind is None or value is None or (kind == BUFFER and isinstance(value, Tensor)):
            return
        found = type(value).__name__
        raise TypeError(f"[Module] cannot assign {found} to {kind} '{name}', {EXPECTED[kind]} or None was expected")

    def _register(self, name, value, kind):
        if "_kinds" not in self.__dict__:
            raise AttributeError(f"[Module] cannot assign {kind} '{name}' before super().__init__() was called")
        if self._kinds.get(name) != kind:  # a name that changes its kind goes to the end of the new one
            self._kinds.pop(name, None)
            self._not_saved.discard(name)
            self._kinds[name] = kind
        object.__setattr__(self, name, value)

    def _check_name(self, caller, name, value, kind, type_):
        if not isinstance(name, str):
            raise TypeError(f"[{caller}] the name is {type(name).__name__}, a str was expected")
        if name == "" or "." in name:
            raise KeyError(f"[{caller}] the name is {name!r}, a non-empty one without '.' was expected")
        if hasattr(self, name) and self._kinds.get(name) != kind:
            raise KeyError(f"[{caller}] attribute '{name}' already exists, a new name was expected")
        if value is not None and not isinstance(value, type_):
            raise TypeError(f"[{caller}] '{name}' is {type(value).__name__}, {EXPECTED[kind]} or None was expected")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the name for an optional one (a layer without bias).

        >>> from minigrad import nn
        >>> nn.Linear(2, 2, bias=False).bias is None
        True
        """
        self._check_name("register_parameter", name, param, PARAMETER, Parameter)
        self._register(name, param, PARAMETER)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not trained; `persistent=False` keeps it out of `state_dict`.

        >>> from minigrad import nn, zeros
        >>> layer = nn.Module()
        >>> layer.register_buffer("mask", zeros(2), persistent=False)
        >>> list(layer.state_dict()), [name for name, _ in layer.named_buffers()]
        ([], ['mask'])
        """
        self._check_name("register_buffer", name, tensor, BUFFER, Tensor)
        self._register(name, tensor, BUFFER)
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def register_module(self, name: str, module: Tree | None) -> None:
        """Add a child module under a name that need not be an identifier (`"0"`).

        >>> from minigrad import nn
        >>> model = nn.Module()
        >>> model.register_module("0", nn.Identity())
        >>> [name for name, child in model.named_children()]
        ['0']
        """
        self._check_name("register_module", name, module, MODULE, Tree)
        self._register(name, module, MODULE)

    add_module = register_module

    # The tree ---------------------------------------------------------------------------------------------------------

    def _members(self, kind) -> dict:
        values = self.__dict__
        return {name: values[name] for name, k in self._kinds.items() if k == kind}

    @property
    def _parameters(self) -> dict:
        return self._members(PARAMETER)

    @property
    def _buffers(self) -> dict:
        return self._members(BUFFER)

    @property
    def _modules(self) -> dict:
        return self._members(MODULE)

    def named_modules(self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True):
        """This module and all below it, with their dotted names, parents first.

        >>> from minigrad import nn
        >>> [name for name, _ in nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).named_modules()]
        ['', '0', '1', '1.0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._members(MODULE).items():
            if child is not None:
                yield from child.named_modules(memo, join(prefix, name), remove_duplicate)

    def _named_members(self, kind, prefix, recurse, remove_duplicate):
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        seen = set()
        for path, module in modules:
            for name, value in module._members(kind).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield join(path, name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True):
        """The parameters with their dotted names; a shared one comes once unless `remove_duplicate=False`.

        >>> from minigrad import nn
        >>> [(name, p.shape) for name, p in nn.Linear(3, 2).named_parameters("fc")]
        [('fc.weight', (2, 3)), ('fc.bias', (2,))]
        """
        return self._named_members(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters in order of registration, own ones first: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True):
        """The buffers with their dotted names."""
        return self._named_members(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers in order of registration."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Tree]]:
        """The direct children with their names, each once."""
        seen = set()
        for name, child in self._members(MODULE).items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Tree]:
        """The direct children, each once."""
        return (child for _, child in self.named_children())

    def modules(self) -> Iterator[Tree]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Tree:
        """The module at a dotted path; "" is this one.

        Errors: AttributeError names the first step of the path that is not a module.
        """
        module = self
        for name in target.split(".") if target else ():
            if module._kinds.get(name) != MODULE:
                raise AttributeError(
                    f"[get_submodule] {type(module).__name__} has no module '{name}' (path '{target}')"
                )
            module = getattr(module, name)
        return module

    def _get_member(self, caller, target, kind):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module._kinds.get(name) != kind:
            raise AttributeError(f"[{caller}] {type(module).__name__} has no {kind} '{name}' (path '{target}')")
        return getattr(module, name)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path such as "encoder.0.weight"; AttributeError if there is none."""
        return self._get_member("get_parameter", target, PARAMETER)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path; AttributeError if there is none."""
        return self._get_member("get_buffer", target, BUFFER)


def join(prefix, name):
    """A dotted name."""
    return f"{prefix}.{name}" if prefix else name
