"""autograd: how ops are recorded, and how gradients walk back.

Read in this order: `Op` (one application of an op: a node of the graph), `Leaf` (where gradients end), then the walk: `plan`
counts the edges into every node, `walk` runs a node as soon as all its gradients have come in. Both are loops, not
recursions: a chain of 100,000 ops is no deeper for Python than one of ten. Last, what users call.

Two backwards, one truth: `backward` works on raw arrays with fused kernels; with `create_graph=True` the walk calls
`gradient` instead, which works on Tensors with differentiable ops, so that its result can be differentiated again.
"""

import weakref

from minigrad import mutation
from minigrad.backend.array import copy, empty_like, is_alone, is_array, owner
from minigrad.dtypes import is_floating
from minigrad.grad_mode import enable_grad, mode, set_grad_enabled
from minigrad.kernel import KERNELS
from minigrad.mutation import clock
from minigrad.tensor import Tensor, wrap


class Op:
    """One application of an op, and a node of the graph.

    A subclass defines `forward` (arrays in, array or tuple of arrays out; keeps what backward needs in `self.saved`) and
    `backward` (gradient arrays in, one gradient per argument out), and for higher orders `gradient` (the same on Tensors,
    written in ops) or `composed` (the op itself written in ops). An op whose gradient is cheap in ops defines `gradient` only.
    """

    inputs = ()  # for each argument the node that made it, None where no gradient is wanted; None once freed
    slots = None  # for each argument which output of that node it is (None: all are the first)
    saved = ()  # raw arrays that backward needs
    args = ()  # the raw arguments, kept if there is a `composed` to differentiate
    hooks = None  # [(slot, function)] called with the finished gradient of an output
    outputs = 1
    time = 0
    composed = None
    fresh = True  # whether backward's results are new memory or views of dy: then a leaf may keep them without a copy

    @classmethod
    def apply(cls, *args):
        """Run the op on Tensors and plain values, and record it if a gradient is wanted."""
        op, arrays, nodes, tracked = cls(), [], [], False
        for a in args:
            if isinstance(a, Tensor):
                if a.base is not None:
                    a.refresh()
                nodes.append(a.node)
                tracked = tracked or a.node is not None
                a = a.array
            else:
                nodes.append(None)
            arrays.append(a)
        recorded = tracked and mode.enabled
        op.inputs = nodes if recorded else [None] * len(nodes)  # before forward, so that it can ask what to save
        y = op.forward(*arrays)
        out = wrap(y) if type(y) is not tuple else tuple(map(wrap, y))
        if recorded:
            op.record(args, arrays, out)
        return out

    def record(self, args, arrays, out):
        """Become a node: note what is needed later, and stamp the outputs."""
        for a in args:
            if isinstance(a, Tensor) and a.slot:
                self.slots = tuple([a.slot if isinstance(a, Tensor) else 0 for a in args])
                break
        if self.composed is not None:
            self.args = arrays
        self.time = next(clock)
        if type(out) is not tuple:
            out = (out,)
        self.outputs = len(out)
        for i, y in enumerate(out):
            if is_floating(y.array.dtype):
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

    def __init__(self, tensor):
        self.tensor = weakref.ref(tensor)  # the tensor owns its leaf, not the other way round

    def accumulate(self, g, owned):
        """Add gradient `g` (array, or Tensor with create_graph); keep its memory without a copy if it is `owned`."""
        tensor = self.tensor()
        if tensor is None:
            return
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


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


# The walk ------------------------------------------------------------------------------------------------------------


class Pending:
    """Gradients on their way: for each (node, slot) the sum of what has come in so far.

    The first to come in is borrowed (it may be a view of another's), the second makes a sum in memory of its own.
    """

    def __init__(self, on_tensors):
        self.held, self.owned, self.on_tensors = {}, set(), on_tensors

    def add(self, node, slot, g, fresh):
        key = node, slot
        held = self.held.get(key)
        if held is None:
            self.held[key] = g
            if fresh:
                self.owned.add(key)
        elif self.on_tensors:
            self.held[key] = held + g
        elif key in self.owned:
            KERNELS["add_forward"](held, held, g)
        else:
            self.held[key] = out = empty_like(held)
            KERNELS["add_forward"](out, held, g)
            self.owned.add(key)

    def take(self, node):
        """The finished gradients of all outputs of a node, after their hooks; None where nothing came in."""
        dys = [self.held.pop((node, slot), None) for slot in range(node.outputs)]
        for slot, hook in node.hooks or ():
            if dys[slot] is not None:
                dys[slot] = self.hooked(hook, dys[slot])
        return dys

    def hooked(self, hook, dy):
        result = hook(dy if self.on_tensors else wrap(dy))
        if result is None:
            return dy
        if not isinstance(result, Tensor) or result.shape != dy.shape:
            raise RuntimeError(f"[hook] must return None or a Tensor of shape {dy.shape}, found {result!r}")
        return result if self.on_tensors else copy(result.array)


def plan(roots, wanted):
    """For every node on the way from `roots` (to `wanted`, if given): how many edges lead into it."""
    allowed = None if wanted is None else _leading_to(roots, wanted)
    edges = {node: 0 for node in roots if allowed is None or node in allowed}
    stack = list(edges)
    while stack:
        node = stack.pop()
        for source in _sources(node, wanted):
            if source is None or (allowed is not None and source not in allowed):
                continue
            if source in edges:
                edges[source] += 1
            else:
                edges[source] = 1
                stack.append(source)
    return edges


def _leading_to(roots, wanted):
    """The nodes from which a wanted node can be reached, those included: children first, without recursion."""
    leading, seen, stack = set(), set(), [(node, False) for node in roots]
    while stack:
        node, sources_done = stack.pop()
        sources = _sources(node, wanted)
        if sources_done:
            if node in wanted or not leading.isdisjoint(sources):
                leading.add(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((source, False) for source in sources if source is not None)
    return leading


def _sources(node, wanted):
    """Where the gradients of a node go. A freed one passes none on: it may only be where they are wanted."""
    if node.inputs is None and (wanted is None or node not in wanted):
        raise RuntimeError(
            f"[backward] second backward through [{node.name()}]: the first freed the arrays it needs. "
            "Call the first with retain_graph=True, or run the forward pass again"
        )
    return node.inputs or ()


def walk(roots, seeds, retain_graph, create_graph, wanted=None):
    """Send the gradients `seeds` back from the (node, slot) `roots`.

    With `wanted` (a set of (node, slot)) returns what reached those and leaves every `grad` alone; else accumulates in the
    leaves.
    """
    nodes = {node for node, _ in wanted} if wanted is not None else None
    edges = plan([node for node, _ in roots], nodes)
    pending, found = Pending(create_graph), {}
    for (node, slot), seed in zip(roots, seeds, strict=True):
        if node in edges:
            pending.add(node, slot, seed, fresh=False)
    ready = [node for node, count in edges.items() if count == 0]
    with set_grad_enabled(create_graph):
        while ready:
            node = ready.pop()
            owned = (node, 0) in pending.owned and not node.hooks  # a hook may have kept what it was shown
            dys = pending.take(node)
            if wanted is not None and node in nodes:
                found.update({(node, i): dy for i, dy in enumerate(dys) if (node, i) in wanted and dy is not None})
            if type(node) is Leaf:
                if wanted is None and dys[0] is not None:
                    node.accumulate(dys[0], owned)
            elif any(source in edges for source in node.inputs or ()):  # else what lies below stays for a later walk
                ready += pass_on(node, dys, edges, pending)
                if not retain_graph:
                    node.free()
    return found


def pass_on(node, dys, edges, pending):
    """Send gradients from a node to the sources of its arguments; returns those that have now got all of theirs."""
    grads, complete = run(node, dys, pending.on_tensors), []
    memory = [owner(g) for g in (*grads, *dys) if is_array(g)] if node.fresh else ()
    for i, source in enumerate(node.inputs):
        if source not in edges:
            continue
        if i < len(grads) and grads[i] is not None:
            fresh = bool(memory) and is_alone(grads[i], memory)
            pending.add(source, node.slots[i] if node.slots else 0, grads[i], fresh)
        edges[source] -= 1
        if not edges[source]:
            complete.append(source)
    return complete


def run(node, dys, create_graph):
    """The gradients of a node's arguments."""
    if all(dy is None for dy in dys):
        return ()
    mutation.check(node)
    return as_tuple(node.gradient(*dys) if create_graph else node.backward(*dys))


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
        dy = wrap(_ones_like(y.array))
    if not isinstance(dy, Tensor):
        raise TypeError(f"[{op}] the gradient must be a Tensor, found {type(dy).__name__}")
    if dy.shape != y.shape:
        raise RuntimeError(f"[{op}] the gradient has shape {dy.shape}, expected that of the output, {y.shape}")
    dy = dy if dy.dtype == y.dtype else dy.to(y.dtype)
    return dy if create_graph else dy.array


def _ones_like(array):
    out = empty_like(array)
    out.fill(1)
    return out


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
        grad_tensors (Tensor or sequence, optional): the gradients of some loss there; may be left out for one-element tensors.
        retain_graph (bool, optional): keep the graph for another backward; by default as `create_graph`.
        create_graph (bool): record the backward itself, so that gradients can be differentiated again.
        inputs (Tensor or sequence, optional): accumulate into these only.

    Errors: RuntimeError when nothing was recorded, on a second backward through a freed graph, or when a saved array was
    changed in place.

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

    Arguments as in `backward`; an input that the outputs do not depend on is an error unless `allow_unused` (then None).

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
