"""hooks: what a call of a Module runs around its `forward`.

Forward hooks are plain calls before and after. Backward hooks watch two borders: the inputs of a call pass one
`Border`, its outputs another, and each sees the gradients of all its tensors at once, on their way back.
"""

from minigrad.autograd import Op
from minigrad.grad_mode import is_grad_enabled
from minigrad.tensor import Tensor
from minigrad.tracking import Handle


class Hooks:
    """All hooks of one module; made when the first is registered, so that a call without any costs nothing more."""

    def __init__(self):
        self.before, self.after = [], []  # (hook, with_kwargs)
        self.backward_before, self.backward = [], []  # (hook,)

    def add(self, where, entry, prepend):
        handle = Handle(where, entry)
        if prepend:
            where.insert(0, where.pop())
        return handle

    def call(self, module, args, kwargs):
        args, kwargs = self.run_before(module, args, kwargs)
        if not (self.backward or self.backward_before):
            return self.run_after(module, args, kwargs, module.forward(*args, **kwargs))
        watch = Watch(module, self)
        args = watch.enter(args)
        return watch.leave(self.run_after(module, args, kwargs, module.forward(*args, **kwargs)))

    def run_before(self, module, args, kwargs):
        for hook, with_kwargs in tuple(self.before):
            result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if result is None:
                continue
            if not with_kwargs:
                args = _as_tuple(result)
            elif isinstance(result, tuple) and len(result) == 2:
                args, kwargs = result
            else:
                raise RuntimeError(
                    f"[forward_pre_hook] returned {type(result).__name__}, None or (args, kwargs) was expected"
                )
        return args, kwargs

    def run_after(self, module, args, kwargs, result):
        for hook, with_kwargs in tuple(self.after):
            changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            result = result if changed is None else changed
        return result


class Watch:
    """One call of a module with backward hooks: what its gradients are when they come back."""

    def __init__(self, module, hooks):
        self.module, self.hooks = module, hooks
        self.grad_output, self.inputs, self.tracked = None, 0, False

    def enter(self, args):
        self.inputs = len(args)
        args, self.tracked = through_border(args, self.at_inputs)
        return args

    def leave(self, result):
        if not isinstance(result, (Tensor, tuple)):
            name = type(self.module).__name__
            raise TypeError(
                f"[backward_hook] {name} returned {type(result).__name__}, a Tensor or a tuple was expected"
            )
        values, _ = through_border(_as_tuple(result), self.at_outputs)
        return values if isinstance(result, tuple) else values[0]

    def at_outputs(self, grads):
        for (hook,) in tuple(self.hooks.backward_before):
            grads = _replaced("backward_pre_hook", hook(self.module, grads), grads)
        self.grad_output = grads
        if not self.tracked:  # no gradient will come to the inputs: now is the time
            self.run((None,) * self.inputs)
        return grads

    def at_inputs(self, grads):
        if self.grad_output is None:  # these came by another way than the outputs, as in a double backward
            return grads
        return self.run(grads)

    def run(self, grads):
        grad_output, self.grad_output = self.grad_output, None
        for (hook,) in tuple(self.hooks.backward):
            grads = _replaced("backward_hook", hook(self.module, grads, grad_output), grads)
        return grads


class Border(Op):
    """Identity on several tensors; `on_gradient` sees their gradients together and may put others in their place."""

    fresh = False

    def forward(self, on_gradient, *arrays):
        self.on_gradient = on_gradient
        return arrays

    def gradient(self, *dys):
        return None, *self.on_gradient(dys)


def through_border(values, on_gradient):
    """`values` with the Tensors that track a gradient led through one Border, and whether there were any.

    `on_gradient` takes and gives one gradient (or None) for each of `values`.
    """
    where = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not (where and is_grad_enabled()):
        return values, False

    def spread(dys):
        found = dict(zip(where, dys, strict=True))
        grads = on_gradient(tuple(found.get(i) for i in range(len(values))))
        return [grads[i] for i in where]

    passed = dict(zip(where, Border.apply(spread, *[values[i] for i in where]), strict=True))
    return tuple(passed.get(i, v) for i, v in enumerate(values)), True


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def _replaced(name, result, grads):
    if result is None:
        return grads
    result = _as_tuple(result)
    if len(result) != len(grads):
        raise RuntimeError(f"[{name}] returned {len(result)} gradients, {len(grads)} were expected")
    return result
