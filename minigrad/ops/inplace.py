"""inplace: what `x.add_(y)` and `x[i] = y` do to memory and to the graph.

`overwrite` puts the result of an out-of-place op into a tensor's memory and its history in place of the tensor's. A
view is harder: writing to it changes its base, so the base gets a node that joins its old history and the part written
(`WriteView`), and all views of that base take their history from it anew when next used (`Tensor.refresh`).
"""

from functools import wraps

from minigrad import mutation
from minigrad.autograd import Leaf, Op
from minigrad.backend.array import copy, fill, is_array, owner
from minigrad.dtypes import _KIND, is_floating
from minigrad.grad_mode import mode
from minigrad.kernel import kernel
from minigrad.mutation import clock
from minigrad.tensor import Tensor, method


@kernel()
def copy_forward(y, x):
    y[...] = x


class WriteView(Op):
    """The base after `part` was written over the view that `recipe` takes of it."""

    def forward(self, base, part, recipe):
        self.recipe = recipe
        return base

    def gradient(self, dy):
        rest = dy.clone()
        self.recipe(rest).zero_()
        return rest, self.recipe(dy)


def untracked(x, *others):
    """Whether writing to `x` what is computed from `others` leaves no trace in a graph."""
    if not mode.enabled:
        return True
    return x.node is None and x.base is None and all(y.node is None for y in others)


def run_inplace(op, x, kernel, *args):
    """kernel(x, *args), which writes into the memory of an untracked `x`. Returns `x`."""
    check_memory(op, x)
    kernel(x.array, *args)
    mutation.touch(x.array, op)
    return x


def overwrite(op, x, y):
    """Put `y`, computed out of place from `x`, into the memory and the place of `x`. Returns `x`."""
    check_writable(op, x, y.shape, y.dtype)
    if y is x:
        return x
    made = y.node
    y = y if y.dtype == x.dtype and type(y.array) is type(x.array) else y.to(x)
    if y.array is not x.array:
        _keep_saved(made, owner(x.array))
        copy_forward(x.array, copy(y.array) if owner(y.array) is owner(x.array) else y.array)
    mutation.touch(x.array, op)
    if made is not None:
        made.time = next(clock)  # what it saved is safe: it is not the memory just written
    if mode.enabled and (x.node is not None or y.node is not None):
        _rebase(x, y)
    return x


def _keep_saved(node, memory):
    """Let a node that saved the memory about to be written keep a copy instead."""
    if node is None:
        return
    node.saved, node.args = (
        tuple(copy(a) if is_array(a) and owner(a) is memory else a for a in kept) for kept in (node.saved, node.args)
    )


def _rebase(x, y):
    if x.base is None:
        y = y if y.node is not None else WriteView.apply(x, y, _whole)  # still tracked, though nothing flows back
        x.node, x.slot = y.node, y.slot
        x.epoch += 1
        return
    base = x.base
    joined = WriteView.apply(base, y, x.recipe)
    base.node, base.slot = joined.node, 0
    base.epoch += 1
    x.refresh()


def _whole(x):
    return x


def check_writable(op, x, shape, dtype):
    """Raise unless a result of this shape and dtype may be written into `x`."""
    if x.base is not None:
        x.refresh()
        if mode.enabled and x.node is None and x.base.node is not None:
            raise RuntimeError(
                f"[{op}] this view was made under no_grad(), so writing to it here would go unseen: make it anew"
            )
    if mode.enabled and x.node is not None:
        source = x if x.base is None else x.base
        if type(source.node) is Leaf:
            what = "a leaf" if x.base is None else "a view of a leaf"
            raise RuntimeError(
                f"[{op}] {what} that requires a gradient cannot be changed in place: use no_grad() or clone()"
            )
    if shape != x.shape:
        raise RuntimeError(f"[{op}] the result has shape {shape}, which does not fit in place into shape {x.shape}")
    if _KIND[dtype] > _KIND[x.dtype]:
        raise RuntimeError(f"[{op}] a result of dtype {dtype} cannot be stored in place in {x.dtype}")
    check_memory(op, x)


def check_memory(op, x):
    """Raise unless every element of `x` has memory of its own that may be written."""
    if x.base is not None:
        x.refresh()
    writable = getattr(x.array.flags, "writeable", True)  # a flag that not all devices' arrays have
    if not writable or (0 in x.array.strides and x.array.size > 1 and _overlaps(x.array)):
        raise RuntimeError(
            f"[{op}] several elements of this tensor share memory (expand) or it is read-only: clone() it first"
        )


def _overlaps(array):
    return any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True))


def inplace(function, name=None):
    """The in-place form `name_` of an out-of-place function whose first argument is overwritten, as a Tensor method."""
    name = name or function.__name__ + "_"

    @wraps(function)
    def form(input, *args, **kwargs):
        return overwrite(name, input, function(input, *args, **kwargs))

    return method(named(form, name))


def named(form, name):
    """An in-place form under its name, `add_`, with its documentation."""
    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"`{name.removesuffix('_')}` in place: the result takes the memory of `input`, which is returned."
    return form


@method
def copy_(self, src, non_blocking=False):
    """Copy the elements of `src` (broadcast, converted) into this tensor, in place. Gradients flow to `src`.

    >>> import minigrad as mg
    >>> mg.zeros(2).copy_(mg.tensor([1, 2]))
    tensor([1., 2.])
    """
    from minigrad.ops.creation import as_tensor

    if isinstance(src, Tensor) and untracked(self, src) and _alike(self.array, src.array):
        return run_inplace("copy_", self, copy_forward, src.array)
    src = as_tensor(src) if isinstance(src, Tensor) else as_tensor(src, dtype=self.dtype)
    src = src.to(self.dtype) if src.dtype != self.dtype else src
    src = src.expand(self.shape) if src.shape != self.shape else src
    if mode.enabled and src.node is not None and src.array is self.array:
        return self
    return overwrite("copy_", self, src.view_as(src) if src.node is not None else src)


def _alike(a, b):
    return a.dtype is b.dtype and a.shape == b.shape and type(a) is type(b)


@method
def fill_(self, value):
    """Set every element to `value`, in place."""
    from minigrad.ops.creation import as_tensor

    if type(value) is float and is_floating(self.dtype) and untracked(self):
        return run_inplace("fill_", self, fill, value)
    return self.copy_(as_tensor(value, dtype=self.dtype) if not isinstance(value, Tensor) else value)


@method
def zero_(self):
    """Set every element to 0, in place.

    >>> import minigrad as mg
    >>> mg.ones(2).zero_()
    tensor([0., 0.])
    """
    return self.fill_(0.0 if is_floating(self.dtype) else 0)
