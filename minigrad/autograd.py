"""autograd: how ops are recorded, and what users call to get gradients. How those walk back is in `walk.py`.

Read in this order: `Op` (one application of an op: a node of the graph), `Leaf` (where gradients end), what users call.

Two backwards, one truth: `backward` works on raw arrays with fused kernels; with `create_graph=True` the walk calls
`gradient` instead, which works on Tensors with differentiable ops, so that its result can be differentiated again.
"""

import weakref
from typing import Any

from minigrad import mutation, recording
from minigrad.backend import devices
from minigrad.backend.array import copy, full_like, is_array
from minigrad.dtypes import FLOATS
from minigrad.grad_mode import enable_grad, mode
from minigrad.kernel import KERNELS
from minigrad.mutation import clock
from minigrad.tensor import Tensor, wrap
from minigrad.walk import as_tuple, walk


class Op:
    """One application of an op, and a node of the graph.

    A subclass defines `forward` (arrays in, array or tuple of arrays out; keeps what backward needs in `self.saved`)
    and `backward` (gradient arrays in, one gradient per argument out), and for higher orders `gradient` (the same on
    Tensors, written in ops) or `composed` (the op itself written in ops). An op whose gradient is cheap in ops defines
    `gradient` only.
    """

    inputs: Any = ()  # for each argument the node that made it, None where no gradient is wanted; None once freed
    slots: Any = None  # for each argument which output of that node it is (None: all are the first)
    saved: tuple = ()  # raw arrays that backward needs
    args: tuple = ()  # the raw arguments, kept if there is a `composed` to differentiate
    hooks = None  # [(slot, function)] called with the finished gradient of an output
    outputs = 1
    ends = False  # whether gradients stay here
    time = 0
    composed: Any = None
    fresh = True  # whether backward's results are new memory or views of dy: then a leaf may keep them without a copy

    @classmethod
    def apply(cls, *args):
        """Run the op on Tensors and plain values, and record it if a gradient is wanted."""
        op, arrays, nodes, tracked = cls(), [], [], False
        for a in args:
            node = None
            if isinstance(a, Tensor):
                if a.base is not None:
                    a.refresh()
                node = a.node
                if node is not None:
                    tracked = True
                    if a.slot:
                        op.slots = [getattr(b, "slot", 0) for b in args]
                a = a.array
            arrays.append(a)
            nodes.append(node)
        tracked = tracked and mode.enabled
        op.inputs = nodes if tracked else [None] * len(nodes)  # before forward, so that it can ask what to save
        y = op.forward(*arrays) if not devices.in_use else devices.run(cls.name(), op.forward, arrays)
        out = wrap(y) if type(y) is not tuple else tuple(map(wrap, y))
        if tracked:
            op.record(arrays, out)
        return out

    def record(self, arrays, out):
        """Become a node: note what is needed later, and stamp the outputs that can have a gradient."""
        self.time = next(clock)
        if self.composed is not None:
            self.args = arrays
        if type(out) is not tuple:
            if out.array.dtype in FLOATS:
                out.node = self
            return
        self.outputs = len(out)
        for i, y in enumerate(out):
            if y.array.dtype in FLOATS:
                y.node, y.slot = self, i

    def needs(self, i):
        """Whether argument `i` wants a gradient; known in `forward` already, so that nothing is saved in vain."""
        return self.inputs[i] is not None

    def input(self, i, array):
        """The saved array of argument `i` as a Tensor with its history, for use in `gradient`."""
        return wrap(array, self.inputs[i], self.slots[i] if self.slots else 0)

    def output(self, array, slot=0):
        """The saved array of an output as a Tensor with its history, for use in `gradient`."""
        return wrap(array, self, slot)

    def forward(self, *arrays):
        raise NotImplementedError(f"[{self.name()}] has no forward")

    def backward(self, *dys):
        """Gradient arrays of the arguments from those of the outputs. Here: `gradient`; the walk records nothing."""
        grads = self.gradient(*[None if dy is None else wrap(dy) for dy in dys])
        return [None if g is None else g.array for g in as_tuple(grads)]

    def gradient(self, *dys):
        """The same on Tensors, in differentiable ops. Here: differentiate `composed`, the definition in ops."""
        if self.composed is None:
            raise RuntimeError(f"[{self.name()}] can be differentiated once only: it has neither gradient nor composed")
        with enable_grad():
            # aliases cut the arguments off from each other: a path from one through another must not count twice
            args = [Alias.apply(self.input(i, a)) if is_array(a) else a for i, a in enumerate(self.args)]
            ys = as_tuple(self.composed(*args))
        pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if dy is not None and y.node is not None]
        wanted = [a for a in args if isinstance(a, Tensor) and a.node is not None]
        found = iter(grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], create_graph=True, allow_unused=True))
        return tuple(next(found) if isinstance(a, Tensor) and a.node is not None else None for a in args)

    def free(self):
        self.inputs, self.saved, self.args = None, (), ()

    @classmethod
    def name(cls):
        return cls.__name__

    @property
    def next_functions(self):
        """The nodes this one passes gradients to, with the output each means (as in PyTorch)."""
        slots = self.slots or (0,) * len(self.inputs or ())
        return tuple(zip(self.inputs or (), slots, strict=True))

    def __repr__(self):
        return f"<{self.name()}>"


class Leaf(Op):
    """The end of the graph at a tensor that the user made: adds what arrives to its `grad`."""

    final_hooks = None
    ends = True

    def __init__(self, tensor):
        self.tensor = weakref.ref(tensor)  # the tensor owns its leaf, not the other way round

    def accumulate(self, g, owned):
        """Add gradient `g` (array, or Tensor with create_graph); keep its memory without a copy if it is `owned`."""
        tensor = self.tensor()
        if tensor is None:
            return
        if recording.recorder is not None:
            recording.touched(tensor)
        if isinstance(g, Tensor):
            tensor._grad = g if tensor._grad is None else tensor._grad + g
        elif tensor._grad is None:
            tensor._grad = wrap(g if owned else copy(g))
        else:
            KERNELS["add_forward"](tensor._grad.array, tensor._grad.array, g)
            mutation.touch(tensor._grad.array, "backward")
        for hook in self.final_hooks or ():
            hook(tensor)


class Alias(Op):
    """y = x, sharing memory: a node of its own."""

    def forward(self, x):
        return x

    def gradient(self, dy):
        return dy


# What users call -----------------------------------------------------------------------------------------------------


def _seed(op, y, dy, create_graph):
    """The gradient to start from at output `y`: ones for a scalar, else what the user gave."""
    if not y.requires_grad:
        raise RuntimeError(
            f"[{op}] the tensor of shape {y.shape} does not require a gradient: nothing was recorded for it"
        )
    if dy is None:
        if y.numel() != 1:
            raise RuntimeError(
                f"[{op}] a gradient can be left out for one element only, found an output of shape {y.shape}"
            )
        dy = wrap(full_like(y.array, 1))
    if not isinstance(dy, Tensor):
        raise TypeError(f"[{op}] the gradient must be a Tensor, found {type(dy).__name__}")
    if dy.shape != y.shape:
        raise RuntimeError(f"[{op}] the gradient has shape {dy.shape}, expected that of the output, {y.shape}")
    dy = dy if dy.dtype == y.dtype else dy.to(y.dtype)
    return dy if create_graph else dy.array


def _start(op, outputs, grad_outputs, create_graph):
    outputs = as_tuple(outputs)
    given = as_tuple(grad_outputs) if grad_outputs is not None else (None,) * len(outputs)
    if len(given) != len(outputs):
        raise RuntimeError(f"[{op}] found {len(given)} gradients for {len(outputs)} outputs, expected as many")
    seeds = [_seed(op, y, dy, create_graph) for y, dy in zip(outputs, given, strict=True)]
    return [(y.node, y.slot) for y in outputs], seeds


def _wanted(op, inputs):
    for x in as_tuple(inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"[{op}] inputs must be Tensors, found {type(x).__name__}")
        if not x.requires_grad:
            raise RuntimeError(f"[{op}] an input of shape {x.shape} and dtype {x.dtype} does not require a gradient")
    return as_tuple(inputs)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add d(tensors)/d(leaf) to the `grad` of every leaf (or only of `inputs`).

    Args:
        tensors (Tensor or sequence): where to start.
        grad_tensors (Tensor or sequence, optional): the gradients of some loss there; may be left out for one-element
            tensors.
        retain_graph (bool, optional): keep the graph for another backward; by default as `create_graph`.
        create_graph (bool): record the backward itself, so that gradients can be differentiated again.
        inputs (Tensor or sequence, optional): accumulate into these only.

    Errors: RuntimeError when nothing was recorded, on a second backward through a freed graph, or when a saved array
    was changed in place.

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> mg.autograd.backward(x**2)
    >>> x.grad
    tensor(6.)
    """
    roots, seeds = _start("backward", tensors, grad_tensors, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        walk(roots, seeds, retain, create_graph)
        return
    inputs = _wanted("backward", inputs)
    found = walk(roots, seeds, retain, create_graph, {(x.node, x.slot) for x in inputs})
    for x in inputs:
        if (x.node, x.slot) in found:
            Leaf.accumulate(x.node if x.is_leaf else Leaf(x), found[x.node, x.slot], False)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False):
    """d(outputs)/d(inputs), as a tuple of Tensors; no `grad` is touched.

    Arguments as in `backward`; an input that the outputs do not depend on is an error, or None with `allow_unused`.

    >>> import minigrad as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (dx,) = mg.autograd.grad(x**3, x, create_graph=True)
    >>> mg.autograd.grad(dx, x)
    (tensor(18.),)
    """
    roots, seeds = _start("grad", outputs, grad_outputs, create_graph)
    inputs = _wanted("grad", inputs)
    retain = create_graph if retain_graph is None else retain_graph
    found = walk(roots, seeds, retain, create_graph, {(x.node, x.slot) for x in inputs})
    grads = [found.get((x.node, x.slot)) for x in inputs]
    if not allow_unused and any(g is None for g in grads):
        raise RuntimeError(
            "[grad] an input was not used to compute the outputs: pass allow_unused=True to get None for it"
        )
    return tuple(wrap(g) if is_array(g) else g for g in grads)
