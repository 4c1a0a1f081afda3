"""elementwise: how a row of the elementwise tables becomes an op.

`@unary(value, grad)` and `@binary(value, grad_a, grad_b)` stand over a function that holds the op's name, arguments and
documentation. The formulas are written once in Python and run on numpy arrays and on Tensors alike: their first
argument `m` is numpy or this package's ops. From one row come

    the kernels      tanh_forward(y, x) and tanh_backward(dx, dy, y), references for the C++ row of the same name
    the gradient     on Tensors, for higher orders
    the functions    tanh(x), the methods x.tanh() and x.tanh_()

What a formula saves for backward is read from its argument names: `x` or `a`, `b` are the inputs, `y` is the result.
"""

import inspect
import itertools
from functools import wraps

import minigrad.ops as ops
from minigrad import recording
from minigrad.autograd import Op
from minigrad.backend.array import array_module, empty, is_array
from minigrad.dtypes import FLOATS, HALVES, bool_, get_default_dtype
from minigrad.kernel import kernel
from minigrad.ops.inplace import inplace, named, overwrite, run_inplace, untracked
from minigrad.ops.operands import broadcast_sizes, check_bools, check_tensor, common, sum_to
from minigrad.tensor import Tensor, method

SMALL = 4096  # elements up to which one thread of numpy is as good as any


def _names(formula):
    return tuple(inspect.signature(formula).parameters)


def _kernel(name, formula, key=0):
    """A kernel whose reference evaluates a formula on arrays and stores the result."""

    def reference(out, *args):
        out[...] = formula(array_module(out), *args)

    reference.__name__, reference.__module__ = name, formula.__module__
    return kernel(key=key)(reference)


# One input -----------------------------------------------------------------------------------------------------------


class Unary(Op):
    """y = value(x, *scalars); the subclass made by `@unary` holds kernels and formula."""

    def forward(self, x, *scalars):
        y = empty(x.shape, x.dtype)
        self.forward_kernel(y, x, *scalars)
        self.saved, self.scalars = (x,) if self.keeps == "x" else (y,) if self.keeps else (), scalars
        return y

    def backward(self, dy):
        dx = empty(dy.shape, dy.dtype)
        self.backward_kernel(dx, dy, *self.saved, *self.scalars)
        return dx

    def gradient(self, dy):
        saved = [self.input(0, a) if self.keeps == "x" else self.output(a) for a in self.saved]
        return self.formula(ops, dy, *saved, *self.scalars)


def unary(value, grad, floats=True, bools=True):
    """Define an op of one tensor. `floats`: integers are converted to the default float dtype first; `bools`: may it be
    bool. The function under the decorator returns the scalars that the formulas take after `x`, if the op has any.
    """

    def define(function):
        name = function.__name__.lstrip("_")  # a leading underscore: the row serves a public function written below it
        members = {
            "forward_kernel": _kernel(f"{name}_forward", value),
            "backward_kernel": _kernel(f"{name}_backward", grad),
            **{"formula": staticmethod(grad), "keeps": "".join(n for n in _names(grad) if n in "xy")},
        }
        cls = type(name.title().replace("_", ""), (Unary,), members)
        has_scalars = len(inspect.signature(function).parameters) > 1

        @wraps(function)
        def public(input, *args, **kwargs):
            check_tensor(name, input)
            if input.array.dtype not in FLOATS:
                if not bools:
                    check_bools(name, input)
                input = input.to(get_default_dtype()) if floats else input
            return cls.apply(input, *(function(input, *args, **kwargs) if has_scalars else ()))

        if function.__name__ != name:
            return public
        if has_scalars:
            inplace(public)
        else:
            method(_inplace_unary(name, public, cls))
        return method(public)

    return define


# Two inputs ----------------------------------------------------------------------------------------------------------


class Binary(Op):
    """y = value(a, b); the subclass made by `@binary` holds kernel and formulas."""

    dtype = None  # of the result, where it is not that of the inputs

    def forward(self, a, b):
        shape, other = self.shapes = a.shape, () if type(b) is float else getattr(b, "shape", ())
        if other and other != shape:
            shape = broadcast_sizes(self.label, shape, other)
        y = empty(shape, self.dtype or a.dtype)
        self.forward_kernel(y, a, b)
        keep_a, keep_b, keep_y = self.keeps[self.inputs[0] is not None, self.inputs[1] is not None]
        self.saved = a if keep_a else None, b if keep_b else None, y if keep_y else None
        return y

    def backward(self, dy):
        """A small gradient of one shape is found by numpy: cheaper than ops that know broadcasts, graphs, threads."""
        fits = all(node is None or s == dy.shape for node, s in zip(self.inputs, self.shapes, strict=True))
        if not fits or dy.size > SMALL or not dy.ndim or dy.dtype in HALVES or recording.recorder is not None:
            return super().backward(dy)
        return self.slopes(array_module(dy), dy, *self.saved)

    def gradient(self, dy):
        a, b, y = self.saved
        a, b = self.input(0, a), self.input(1, b) if is_array(b) else b
        slopes = self.slopes(ops, dy, a, b, self.output(y))
        return [g if g is None else sum_to(g, s) for g, s in zip(slopes, self.shapes, strict=False)]

    def slopes(self, m, *known):
        """The gradients that are wanted, by their formulas, before anything is summed over broadcast dimensions."""
        rows = zip(self.formulas, self.inputs, strict=False)
        return [None if node is None else formula(m, *pick(known)) for (formula, pick), node in rows]


def _picker(formula):
    """From (dy, a, b, y) those that a formula names after `m`."""
    places = [("dy", "a", "b", "y").index(n) for n in _names(formula)[1:]]
    return lambda known: [known[i] for i in places]


def _savings(grads):
    """Whether to save a, b and y, by whether the gradients of a and of b are wanted: from what their formulas name."""
    pairs = itertools.product((False, True), repeat=2)
    named = {p: {n for g, wanted in zip(grads, p, strict=False) if wanted for n in _names(g)} for p in pairs}
    return {p: tuple(n in names for n in "aby") for p, names in named.items()}


def binary(value, *grads, floats=False, bools=True, dtype=None, inplace_form=True):
    """Define an op of two broadcast tensors. `dtype`: that of the result, if fixed (comparisons: bool)."""

    def define(function):
        name = function.__name__.lstrip("_")
        members = {
            "forward_kernel": _kernel(f"{name}_forward", value, key=0 if dtype is None else 1),
            "formulas": [(g, _picker(g)) for g in grads],
            **{"keeps": _savings(grads), "dtype": dtype, "label": name},
        }
        cls = type(name.title().replace("_", ""), (Binary,), members)

        @wraps(function)
        def public(input, other):
            mine = input.array.dtype if isinstance(input, Tensor) else bool_
            if mine in FLOATS and (type(other) is float or (isinstance(other, Tensor) and other.array.dtype is mine)):
                return cls.apply(input, other)  # the everyday case: nothing to convert
            if not bools:
                check_bools(name, input, other)
            return cls.apply(*common(name, input, other, floats, dtype is None))

        if function.__name__ != name:
            public.inplace = _inplace_binary(name, public, cls)
            return public
        if inplace_form:
            method(_inplace_binary(name, public, cls))
        return method(public)

    return define


def _inplace_binary(name, public, cls):
    """`x.add_(y)`: straight into the memory of x when nothing is recorded, else by way of `overwrite`."""
    op = f"{name}_"

    def fits(input, other):
        a, b = input.array, other.array
        near = a.dtype is b.dtype and type(a) is type(b) and untracked(input, other)
        return near and (a.shape == b.shape or a.shape == broadcast_sizes(name, a.shape, b.shape))

    def form(input, other):
        if input.array.dtype in FLOATS and cls.dtype is None:
            if type(other) in (float, int) and untracked(input):
                return run_inplace(op, input, cls.forward_kernel, input.array, other)
            if isinstance(other, Tensor) and fits(input, other):
                return run_inplace(op, input, cls.forward_kernel, input.array, other.array)
        return overwrite(op, input, public(input, other))

    return named(form, op)


def _inplace_unary(name, public, cls):
    """`x.relu_()`: the same for an op of one tensor."""
    op = f"{name}_"

    @wraps(public)
    def form(input, *args, **kwargs):
        if not args and not kwargs and isinstance(input, Tensor) and input.array.dtype in FLOATS and untracked(input):
            return run_inplace(op, input, cls.forward_kernel, input.array)
        return overwrite(op, input, public(input, *args, **kwargs))

    return named(form, op)
