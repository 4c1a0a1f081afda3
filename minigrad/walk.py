"""walk: how gradients go back through the graph.

`plan` counts the edges that lead into every node, `walk` runs a node as soon as all its gradients have come in. Both
are loops, not recursions: a chain of 100,000 ops is no deeper for Python than one of ten. `Pending` holds what is on
its way.
"""

from minigrad import mutation
from minigrad.backend import devices
from minigrad.backend.array import copy, empty_like, is_alone, quiet
from minigrad.grad_mode import set_grad_enabled
from minigrad.kernel import KERNELS
from minigrad.tensor import Tensor, wrap


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


class Pending:
    """Gradients on their way: for each node the sums of what has come in so far, one for each of its outputs.

    The first to come in is borrowed (it may be a view of another's), the second makes a sum in memory of its own.
    """

    def __init__(self, on_tensors):
        self.held, self.owned, self.on_tensors = {}, set(), on_tensors

    def add(self, node, slot, g, beside=()):
        """Add `g` to what has come in. `beside`: all that may share its memory, or empty if it need not be kept."""
        sums = self.held.get(node)
        if sums is None:
            sums = self.held[node] = [None] * node.outputs
        held = sums[slot]
        if held is None:
            sums[slot] = g
            if beside and is_alone(g, beside):
                self.owned.add((node, slot))
        elif self.on_tensors:
            sums[slot] = held + g
        elif (node, slot) in self.owned:
            KERNELS["add_forward"](held, held, g)
        else:
            sums[slot] = out = empty_like(held)
            KERNELS["add_forward"](out, held, g)
            self.owned.add((node, slot))

    def take(self, node):
        """The finished gradients of all outputs of a node, after their hooks; None where nothing came in."""
        dys = self.held.pop(node, None) or [None] * node.outputs
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

    def owns(self, node):
        """Whether the gradient of a leaf is nobody else's; a hook may have kept what it was shown."""
        return (node, 0) in self.owned and not node.hooks


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


@quiet
def walk(roots, seeds, retain_graph, create_graph, wanted=None):
    """Send the gradients `seeds` back from the (node, slot) `roots`.

    With `wanted` (a set of (node, slot)) returns what reached those and leaves every `grad` alone; else accumulates in
    the leaves.
    """
    nodes = {node for node, _ in wanted} if wanted is not None else None
    edges = plan([node for node, _ in roots], nodes)
    pending, found = Pending(create_graph), {}
    for (node, slot), seed in zip(roots, seeds, strict=True):
        if node in edges:
            pending.add(node, slot, seed)
    ready = [node for node, count in edges.items() if count == 0]
    with set_grad_enabled(create_graph):
        while ready:
            node = ready.pop()
            dys = pending.take(node)
            if wanted is not None and node in nodes:
                found.update({(node, i): dy for i, dy in enumerate(dys) if (node, i) in wanted and dy is not None})
            if node.ends:
                if wanted is None and dys[0] is not None:
                    node.accumulate(dys[0], pending.owns(node))
            elif wanted is None or any(source in edges for source in node.inputs or ()):
                pass_on(node, dys, edges, pending, ready)
                if not retain_graph:
                    node.free()
            # else the walk ends here: what lies below stays intact for a later one
    return found


def pass_on(node, dys, edges, pending, ready):
    """Send gradients from a node to the sources of its arguments; those that now have all of theirs become ready."""
    grads = run(node, dys, pending.on_tensors)
    arrays = (*grads, *dys) if node.fresh and not pending.on_tensors else ()
    for i, source in enumerate(node.inputs):
        if source not in edges:
            continue
        left = edges[source] = edges[source] - 1
        if i < len(grads) and grads[i] is not None:
            pending.add(source, node.slots[i] if node.slots else 0, grads[i], arrays if left or source.ends else ())
        if not left:
            ready.append(source)


def run(node, dys, create_graph):
    """The gradients of a node's arguments."""
    if all(dy is None for dy in dys):
        return ()
    mutation.check(node)
    backward = node.gradient if create_graph else node.backward
    grads = backward(*dys) if not devices.in_use else devices.run_beside(backward, dys)
    return grads if type(grads) in (tuple, list) else as_tuple(grads)
