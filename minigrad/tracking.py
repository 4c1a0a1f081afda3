"""tracking: what a Tensor says of its place in the graph: requires_grad, leaves, detach, backward, hooks."""

import weakref

from minigrad.autograd import Leaf, backward
from minigrad.dtypes import is_floating
from minigrad.tensor import Tensor, method, wrap


def _requires_grad(self):
    """Whether a gradient is tracked; settable on leaves."""
    if self.base is not None:
        self.refresh()
    return self.node is not None


def _set_requires_grad(self, value):
    self.requires_grad_(value)


Tensor.requires_grad = property(_requires_grad, _set_requires_grad)
Tensor.is_leaf = property(
    lambda self: not self.requires_grad or type(self.node) is Leaf, doc="Made by the user, not by an op."
)
Tensor.grad_fn = property(lambda self: None if self.is_leaf else self.node, doc="The graph node that made this tensor.")


@method
def requires_grad_(self, requires_grad=True):
    """Track a gradient for this leaf, or stop. Errors: RuntimeError on a non-floating dtype or a non-leaf."""
    if not self.is_leaf:
        if requires_grad:
            return self
        raise RuntimeError("[requires_grad_] only a leaf can stop requiring a gradient: use detach()")
    if not requires_grad:
        self.node = None
    elif self.node is None:
        if not is_floating(self.dtype):
            raise RuntimeError(f"[requires_grad_] only floating dtypes can require a gradient, found {self.dtype}")
        self.node, self.slot = Leaf(self), 0
    return self


@method
def detach(self):
    """The same values in the same memory, cut off from the graph.

    >>> import minigrad as mg
    >>> mg.ones(2, requires_grad=True).detach().requires_grad
    False
    """
    return wrap(self.array)


@method
def detach_(self):
    """Cut this tensor off from the graph. Errors: RuntimeError on a view."""
    if self.base is not None:
        raise RuntimeError("[detach_] cannot detach a view in place: use detach()")
    self.node, self.slot = None, 0
    return self


def _method_backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add d(self)/d(leaf) to the `grad` of every leaf: `autograd.backward` of this tensor.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).backward(mg.tensor([1.0, 10.0]))
    >>> x.grad
    tensor([ 2., 40.])
    """
    backward(self, gradient, retain_graph, create_graph, inputs)


Tensor.backward = _method_backward


class Handle:
    """Returned by `register_*_hook`: `remove()` takes the hook away again."""

    def __init__(self, hooks, entry):
        self.hooks, self.entry = hooks, entry
        hooks.append(entry)

    def remove(self):
        if self.entry in self.hooks:
            self.hooks.remove(self.entry)


@method
def register_hook(self, hook):
    """Call `hook(grad)` when this tensor's gradient is complete; a Tensor it returns takes the gradient's place.

    Errors: RuntimeError if no gradient is tracked.

    >>> import minigrad as mg
    >>> x = mg.ones(2, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> x.sum().backward()
    >>> x.grad
    tensor([10., 10.])
    """
    if not self.requires_grad:
        raise RuntimeError("[register_hook] the tensor does not require a gradient")
    if self.node.hooks is None:
        self.node.hooks = []
    return Handle(self.node.hooks, (self.slot, hook))


@method
def register_post_accumulate_grad_hook(self, hook):
    """Call `hook(tensor)` as soon as this leaf's `grad` is final for the running backward (earlier than its end).

    Errors: RuntimeError if the tensor is not a leaf that requires a gradient.
    """
    if not (self.requires_grad and self.is_leaf):
        raise RuntimeError("[register_post_accumulate_grad_hook] only for leaf tensors that require a gradient")
    if self.node.final_hooks is None:
        self.node.final_hooks = []
    return Handle(self.node.final_hooks, hook)


@method
def retain_grad(self):
    """Keep the gradient of this non-leaf in `grad` after backward.

    >>> import minigrad as mg
    >>> x = mg.ones(2, requires_grad=True)
    >>> y = x * 3
    >>> y.retain_grad()
    >>> y.sum().backward()
    >>> y.grad
    tensor([1., 1.])
    """
    if self.is_leaf or self.__dict__.get("retains_grad"):
        return
    self.retains_grad, me = True, weakref.ref(self)

    def keep(g):
        tensor = me()
        if tensor is not None:
            tensor._grad = g if tensor._grad is None else tensor._grad + g

    self.register_hook(keep)
