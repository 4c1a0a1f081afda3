"""function: ops of your own, `minigrad.autograd.Function`, in the form PyTorch gave them.

A `Function` holds two static methods on Tensors, `forward` and `backward`; `Context` carries what the first leaves for
the second; `Call` is one application, an `Op` like any other. Write `backward` in ops, and it can be differentiated.

>>> import minigrad as mg
>>> class Cube(mg.autograd.Function):
...     @staticmethod
...     def forward(ctx, x):
...         ctx.save_for_backward(x)
...         return x**3
...
...     @staticmethod
...     def backward(ctx, dy):
...         (x,) = ctx.saved_tensors
...         return dy * 3 * x**2
>>> x = mg.tensor(2.0, requires_grad=True)
>>> mg.autograd.grad(Cube.apply(x), x)
(tensor(12.),)
"""

from functools import wraps

from minigrad import autograd
from minigrad.autograd import Op, as_tuple
from minigrad.backend.array import copy, owner
from minigrad.dtypes import is_floating
from minigrad.grad_mode import mode, no_grad
from minigrad.ops import sum_to_size, zeros
from minigrad.tensor import Tensor, wrap


class Context:
    """What `forward` leaves for `backward`; any attribute may be set on it."""

    needs_input_grad = ()  # for each argument of forward, whether it wants a gradient
    _materialize, _fixed, _kept, _restored = True, (), (), None

    def save_for_backward(self, *tensors):
        """Keep arguments and results of forward (or None) until backward, which raises if they changed in place."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"[save_for_backward] only Tensors can be saved, found {type(t).__name__}")
        self._kept = tensors

    @property
    def saved_tensors(self):
        """What was saved, with its history. Errors: RuntimeError outside of backward."""
        if self._restored is None:
            raise RuntimeError("[saved_tensors] saved tensors can be read in backward only")
        return self._restored

    def mark_non_differentiable(self, *tensors):
        """Say that these results carry no gradient."""
        self._fixed = tensors

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (True, the default) or None for a result that no gradient came back to."""
        self._materialize = value


class Call(Op):
    """One application of a Function. Its subclass, made with the Function, names it in `function`."""

    fresh = False  # a user's backward may return anything, saved tensors too

    @classmethod
    def apply(cls, *args):
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            given = cls.run(ctx, args)
        if not (mode.enabled and any(ctx.needs_input_grad)):
            return given
        results = as_tuple(given)
        outs = tuple(_apart(y, args) if isinstance(y, Tensor) else y for y in results)
        cls().finish(ctx, args, results, outs)
        return outs if isinstance(given, (tuple, list)) else outs[0]

    @classmethod
    def run(cls, ctx, args):
        function = cls.function
        if function.setup_context is Function.setup_context:
            return function.forward(ctx, *args)
        given = function.forward(*args)
        function.setup_context(ctx, args, given)
        return given

    def finish(self, ctx, args, results, outs):
        """Become a node that knows where the saved tensors stand in the graph."""
        self.inputs = [a.node if isinstance(a, Tensor) else None for a in args]
        self.slots = [getattr(a, "slot", 0) for a in args]
        self.record((), ())
        self.ctx, self.outputs = ctx, len(outs)
        self.given, self.made = map(_kinds, (args, outs))
        for slot, (result, y) in enumerate(zip(results, outs, strict=True)):
            if isinstance(y, Tensor) and is_floating(y.dtype) and not _among(result, ctx._fixed):
                y.node, y.slot = self, slot
        stands = {id(a): (a.node, a.slot) for a in args if isinstance(a, Tensor)}
        for result, y in zip(results, outs, strict=True):
            if isinstance(y, Tensor):  # the node itself is put in when restoring: here it would close a cycle
                stands.setdefault(id(result), (y.node and _SELF, y.slot))
        self.stands = [t if t is None else stands.get(id(t), (t.node, t.slot)) for t in ctx._kept]
        self.saved = tuple(t.array for t in ctx._kept if t is not None)
        ctx._kept = ctx._fixed = ()

    def restore(self):
        """The saved tensors with their history."""
        arrays = iter(self.saved)
        for stand in self.stands:
            node, slot = stand or (None, 0)
            yield stand and wrap(next(arrays), self if node is _SELF else node, slot)

    def gradient(self, *dys):
        ctx = self.ctx
        if ctx._materialize:
            filled = zip(dys, self.made, strict=True)
            dys = [zeros(made[0], dtype=made[1]) if dy is None and made else dy for dy, made in filled]
        ctx._restored = tuple(self.restore())
        try:
            grads = as_tuple(self.function.backward(ctx, *dys))
        finally:
            ctx._restored = None
        return self.checked(grads)

    def checked(self, grads):
        """The gradients as the walk needs them, one per argument. More may be given if they are None."""
        n = len(self.given)
        if len(grads) < n or any(g is not None for g in grads[n:]):
            raise RuntimeError(
                f"[{self.name()}] backward gave {len(grads)} gradients, expected {n}, one per argument of forward"
            )
        return [self.fitted(i, g) for i, g in enumerate(grads[:n])]

    def fitted(self, i, g):
        given = self.given[i]
        if g is None:
            return None
        if not isinstance(g, Tensor):
            raise TypeError(f"[{self.name()}] gradient {i} must be a Tensor or None, found {type(g).__name__}")
        if given is None:
            raise RuntimeError(f"[{self.name()}] argument {i} is no Tensor, expected None for its gradient")
        shape, dtype = given
        if g.shape != shape:
            if not _broadcasts(shape, g.shape):
                raise RuntimeError(
                    f"[{self.name()}] gradient {i} has shape {g.shape}, expected the argument's, {shape}"
                )
            g = sum_to_size(g, shape)
        return g if g.dtype is dtype else g.to(dtype)

    def free(self):
        super().free()
        self.stands = ()


_SELF = object()


def _kinds(values):
    return [(v.shape, v.dtype) if isinstance(v, Tensor) else None for v in values]


def _among(t, tensors):
    return any(t is other for other in tensors)


def _apart(y, args):
    """A result as a new Tensor; a copy if it shares an argument's memory: neither may change the other unseen."""
    shared = any(isinstance(a, Tensor) and owner(a.array) is owner(y.array) for a in args)
    return wrap(copy(y.array) if shared else y.array)


def _broadcasts(small, large):
    tail = large[len(large) - len(small) :]
    return len(small) <= len(large) and all(m in (1, n) for m, n in zip(small, tail, strict=True))


class Function:
    """The base of your own differentiable ops.

    Subclass it with static methods and call `apply`:

        forward(ctx, *args)             Tensors and plain values in, a Tensor or a tuple of them out; records nothing
        backward(ctx, *grad_outputs)    one gradient per argument of forward, None where there is none

    or, in the split form, `forward(*args)` and `setup_context(ctx, inputs, output)`.

    Errors: RuntimeError if backward returns a wrong number of gradients or one of a wrong shape.
    """

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls._call = type(cls.__name__, (Call,), {"function": cls})

    @staticmethod
    def forward(ctx, *args):
        raise NotImplementedError("[Function] forward is missing: define it as a static method")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("[Function] setup_context is missing")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("[Function] backward is missing: define it as a static method")

    @classmethod
    def apply(cls, *args):
        """Run the op on `args` and record it if one of them requires a gradient."""
        return cls._call.apply(*args)


class Once(Op):
    """y = x, where to differentiate is an error. The other arguments are what x was computed from."""

    fresh = False

    def forward(self, x, *sources):
        return x

    def gradient(self, dy):
        raise RuntimeError("[once_differentiable] this backward was marked as differentiable once only")


def once_differentiable(function):
    """Mark a `backward` as one whose result cannot be differentiated again, so that trying to is an error.

    Needed where it computes with numpy rather than with ops.
    """

    @wraps(function)
    def backward(ctx, *dys):
        recorded, saved = mode.enabled, ctx.saved_tensors
        with no_grad():
            grads = function(ctx, *dys)
        if not recorded:
            return grads
        marked = tuple(Once.apply(g, *dys, *saved) if isinstance(g, Tensor) else g for g in as_tuple(grads))
        return marked if isinstance(grads, (tuple, list)) else marked[0]

    return backward


autograd.Function, autograd.once_differentiable = Function, once_differentiable
