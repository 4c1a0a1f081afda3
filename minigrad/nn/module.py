"""Module: a layer or a model: the call, the state, modes and conversions, hooks, the printed form.

What it registers and how it is walked is `Tree` in `tree.py` (read that first); what hooks do around a call is in
`hooks.py`, loading in `state.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from minigrad import dtypes
from minigrad.dtypes import is_floating
from minigrad.nn.hooks import Hooks
from minigrad.nn.parameter import clear_grads
from minigrad.nn.state import load_state
from minigrad.nn.tree import Tree, join
from minigrad.ops.cast import destination
from minigrad.tensor import Tensor


class Module(Tree):
    """Base class of every layer and model: write `forward`, assign Parameters and Modules, and the rest follows.

    Errors: AttributeError for a parameter or module assigned before `super().__init__()`; TypeError for a value that
        does not fit the registered name it is assigned to.

    >>> from minigrad import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 3)
    ...         self.output = nn.Linear(3, 2)
    ...
    ...     def forward(self, x):
    ...         return self.output(self.hidden(x).relu())
    >>> [name for name, parameter in Net().named_parameters()]
    ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias']
    """

    _hooks: Hooks | None = None

    def forward(self, *args, **kwargs):
        """What a call computes; every subclass writes its own."""
        raise NotImplementedError(f"[Module] {type(self).__name__} has no forward, a method `forward` was expected")

    def __call__(self, *args, **kwargs):
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Name -> tensor for every parameter and persistent buffer; the tensors are detached and share memory.

        >>> from minigrad import nn
        >>> list(nn.Sequential(nn.Linear(2, 1), nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        return {name: value if keep_vars else value.detach() for name, value in self._named_state(prefix)}

    def _named_state(self, prefix=""):
        for path, module in self.named_modules(prefix=prefix.removesuffix("."), remove_duplicate=False):
            for name, value in (module._parameters | module._buffers).items():
                if value is not None and name not in module._not_saved:
                    yield join(path, name), value

    def load_state_dict(self, state_dict: dict[str, Tensor], strict: bool = True):
        """Copy the tensors of `state_dict` into this module's parameters and buffers.

        Args: strict: demand that the names on both sides are the same.
        Returns: a named tuple `(missing_keys, unexpected_keys)`.
        Errors: RuntimeError lists every missing or unexpected name (strict) and every shape that differs (always), and
            then nothing has been copied.

        >>> from minigrad import nn
        >>> a, b = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> a.load_state_dict(b.state_dict())
        <All keys matched successfully>
        """
        return load_state(type(self).__name__, dict(self._named_state()), state_dict, strict)

    # Modes and conversions --------------------------------------------------------------------------------------------

    def train(self, mode: bool = True):
        """Training mode for this module and all below it (dropout drops, batch norm uses the batch); returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] mode is {mode!r}, True or False was expected")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation mode for this module and all below it: `train(False)`; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Freeze (False) or unfreeze (True) every parameter; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros (`set_to_none=False`)."""
        clear_grads(self.parameters(), set_to_none)

    def apply(self, fn: Callable[[Module], None]):
        """Call `fn` on every module, children before parents; returns self.

        >>> from minigrad import nn
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> _ = model.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)
        >>> model[0].weight.tolist()
        [[0.0, 0.0], [0.0, 0.0]]
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args, **kwargs):
        """Convert the floating parameters and buffers in place: `to(dtype)`, `to(device)`, `to(tensor)`; returns self.

        Errors: TypeError when the dtype is not a floating one.

        >>> import minigrad as mg
        >>> mg.nn.Linear(2, 1).to(mg.float64).weight.dtype
        dtype('float64')
        """
        dtype, device = destination(args, kwargs.get("dtype"), kwargs.get("device"))
        if dtype is not None and not is_floating(dtype):
            raise TypeError(f"[to] found {dtype}, a module's parameters can only have a floating dtype")
        return self._apply(lambda t: t.to(dtype=dtype if t.is_floating_point() else None, device=device))

    def _apply(self, convert):
        for tensor in (*self.parameters(), *self.buffers()):
            gradient = tensor.grad
            tensor.data = convert(tensor.data)
            tensor.grad = None if gradient is None else convert(gradient.detach())
        return self

    def float(self):
        """`to(float32)`."""
        return self.to(dtypes.float32)

    def double(self):
        """`to(float64)`."""
        return self.to(dtypes.float64)

    def half(self):
        """`to(float16)`."""
        return self.to(dtypes.float16)

    def bfloat16(self):
        """`to(bfloat16)`."""
        return self.to(dtypes.bfloat16)

    def cpu(self):
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self):
        """`to` the GPU."""
        return self._apply(lambda t: t.cuda())

    # Hooks ------------------------------------------------------------------------------------------------------------

    def _own_hooks(self):
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False):
        """Call `hook(module, args)` before `forward`; what it returns, unless None, replaces the arguments.

        Args: prepend: run before those registered earlier. with_kwargs: call `hook(module, args, kwargs)`, and expect a
            pair back.
        Returns: a handle; its `remove()` takes the hook away.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.before, (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False):
        """Call `hook(module, args, output)` after `forward`; what it returns, unless None, replaces the output.

        >>> import minigrad as mg
        >>> layer = mg.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output * 2)
        >>> layer(mg.ones(2))
        tensor([2., 2.])
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.after, (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False):
        """Call `hook(module, grad_output)` when the gradients of the outputs are known; it may return others."""
        hooks = self._own_hooks()
        return hooks.add(hooks.backward_before, (hook,), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False):
        """Call `hook(module, grad_input, grad_output)` once the gradients of the inputs are known; it may change them.

        Both are tuples, one entry for each positional argument and output, None where there is no gradient.

        >>> import minigrad as mg
        >>> layer, seen = mg.nn.Linear(2, 1), []
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output))
        >>> layer(mg.ones(1, 2)).sum().backward()
        >>> seen
        [(tensor([[1.]]),)]
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.backward, (hook,), prepend)

    # Copies and the printed form --------------------------------------------------------------------------------------

    def __copy__(self):
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__, _kinds=dict(self._kinds), _not_saved=set(self._not_saved))
        return twin

    def extra_repr(self) -> str:
        """What the printed form says of this module itself, besides its children."""
        return ""

    def __repr__(self):
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        children = self._child_lines()
        name = type(self).__name__
        if len(extra) <= 1 and not children:
            return f"{name}({''.join(extra)})"
        return "\n  ".join([f"{name}(", *extra, *children]) + "\n)"

    def _child_lines(self):
        return [f"({name}): {indented(repr(child))}" for name, child in self._modules.items()]


def indented(text):
    """`text` with all lines but the first moved in by two."""
    return text.replace("\n", "\n  ")
