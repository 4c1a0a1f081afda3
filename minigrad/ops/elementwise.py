"""elementwise: how a row of the elementwise tables becomes an op.

`@unary(value, grad)` and `@binary(value, grad_a, grad_b)` stand over a function that holds the op's name, arguments and
documentation. The formulas are written once in Python and run on numpy arrays and on Tensors alike: their first argument `m`
is numpy or this package's ops. From one row come

    the kernels      tanh_forward(y, x) and tanh_backward(dx, dy, y), references for the C++ row of the same name
    the gradient     on Tensors, for higher orders
    the functions    tanh(x), the methods x.tanh() and x.tanh_()

What a formula saves for backward is read from its argument names: `x` or `a`, `b` are the inputs, `y` is the result.
"""

import inspect
import itertools
from functools import wraps

import numpy as np

import minigrad.ops as ops
from minigrad import mutation
from minigrad.autograd import Op
from minigrad.backend.array import array_module, empty, is_array, owner
from minigrad.dtypes import _KIND, _TABLE, _python_dtype, bool_, get_default_dtype, is_floating, result_dtype
from minigrad.grad_mode import mode
from minigrad.kernel import kernel
from minigrad.ops.inplace import check_writable, inplace, overwrite
from minigrad.tensor import Tensor, method, wrap


def _names(formula):
    return tuple(inspect.signature(formula).parameters)


def _kernel(name, formula, key=0):
    """A kernel whose reference evaluates a formula on arrays and stores the result."""

    def reference(out, *args):
        out[...] = formula(array_module(out), *args)

    reference.__name__, reference.__doc__ = name, f"{name}: elementwise, see ops/unary.py and ops/binary.py"
    return kernel(key=key)(reference)


def check_tensor(op, value, argument="input"):
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] {argument} must be a Tensor, found {type(value).__name__}")


def check_bools(op, *operands):
    """Raise if an operand is a bool tensor."""
    if any(isinstance(x, Tensor) and x.array.dtype is bool_ for x in operands):
        raise RuntimeError(f"[{op}] is not defined for bool tensors: use ~ or logical_not to invert a mask")


# One input -----------------------------------------------------------------------------------------------------------


class Unary(Op):
    """y = value(x, *scalars); the subclass made by `@unary` holds kernels and formula."""

    def forward(self, x, *scalars):
        y = empty(x.shape, x.dtype)
        self.forward_kernel(y, x, *scalars)
        self.saved, self.scalars = tuple([x if name == "x" else y for name in self.keeps]), scalars
        return y

    def backward(self, dy):
        dx = empty(dy.shape, dy.dtype)
        self.backward_kernel(dx, dy, *self.saved, *self.scalars)
        return dx

    def gradient(self, dy):
        saved = [self.input(0, a) if n == "x" else self.output(a) for n, a in zip(self.keeps, self.saved, strict=True)]
        return self.formula(ops, dy, *saved, *self.scalars)


def unary(value, grad, floats=True, bools=True):
    """Define an op of one tensor. `floats`: integers are converted to the default float dtype first; `bools`: may it be bool.

    The function under the decorator returns the scalars that the formulas take after `x`, if the op has any.
    """

    def define(function):
        name = function.__name__.lstrip("_")  # a leading underscore: the row serves a public function written below it
        keeps = tuple(n for n in _names(grad) if n in ("x", "y"))
        members = {
            "forward_kernel": _kernel(f"{name}_forward", value),
            "backward_kernel": _kernel(f"{name}_backward", grad),
            **{"formula": staticmethod(grad), "keeps": keeps},
        }
        cls = type(name.title().replace("_", ""), (Unary,), members)
        has_scalars = len(inspect.signature(function).parameters) > 1

        @wraps(function)
        def public(input, *args, **kwargs):
            check_tensor(name, input)
            if not is_floating(input.array.dtype):
                if not bools:
                    check_bools(name, input)
                input = input.to(get_default_dtype()) if floats else input
            return cls.apply(input, *(function(input, *args, **kwargs) if has_scalars else ()))

        if function.__name__ != name:
            return public
        inplace(public)
        return method(public)

    return define


# Two inputs ----------------------------------------------------------------------------------------------------------


def broadcast_sizes(op, *shapes):
    """The shape that shapes broadcast to. Errors: RuntimeError naming those that do not fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise RuntimeError(
            f"[{op}] shapes {listed} do not broadcast: sizes must be equal or 1, counted from the right"
        ) from None


class Binary(Op):
    """y = value(a, b); the subclass made by `@binary` holds kernel and formulas."""

    dtype = None  # of the result, where it is not that of the inputs

    def forward(self, a, b):
        shape = a.shape if not is_array(b) or a.shape == b.shape else broadcast_sizes(self.label, a.shape, b.shape)
        y = empty(shape, self.dtype or a.dtype)
        self.forward_kernel(y, a, b)
        self.keeps = self.table[self.needs(0), self.needs(1)]
        self.saved = tuple([a if n == "a" else b if n == "b" else y for n in self.keeps])
        self.shapes = a.shape, b.shape if is_array(b) else ()
        return y

    def gradient(self, dy):
        known = dict(zip(self.keeps, map(self.wire, self.keeps, self.saved), strict=True))
        return [
            sum_to(formula(ops, dy, **{n: known[n] for n in names}), shape) if self.needs(i) else None
            for i, (formula, names, shape) in enumerate(zip(self.formulas, self.uses, self.shapes, strict=True))
        ]

    def wire(self, name, value):
        if not is_array(value):
            return value
        return self.output(value) if name == "y" else self.input("ab".index(name), value)


def _savings(uses):
    """What to save (a, b, y), by whether the gradients of a and of b are needed, from what their formulas use."""
    pairs = itertools.product((False, True), repeat=2)
    needed = {p: set().union(*(u for u, wanted in zip(uses, p, strict=False) if wanted)) for p in pairs}
    return {p: tuple(n for n in ("a", "b", "y") if n in names) for p, names in needed.items()}


def sum_to(x, shape):
    """The adjoint of broadcasting: sum `x` down to `shape`."""
    return x if x.shape == shape else ops.sum_to_size(x, shape)


def common(op, a, b, floats=False, wraps=True):
    """Both operands in their common dtype: Tensors are cast, a number on the right stays one where it can.

    `floats`: integers are converted to floats. `wraps`: numbers too large for an integer dtype wrap around.
    """
    if not isinstance(a, Tensor):
        check_tensor(op, b, "one operand")
        a = operand(op, a, b.dtype)
    if not isinstance(b, Tensor):
        dtype = a.array.dtype
        if isinstance(b, (bool, int, float)) and _KIND[dtype] >= _KIND[_python_dtype(b)]:
            if is_floating(dtype):
                return a, b
            if not floats:
                return a, wrapped(b, dtype) if wraps else b
        b = operand(op, b, dtype)
    x, y = a.array.dtype, b.array.dtype
    if x is y and not (floats and not is_floating(x)):
        return a, b
    dtype = _TABLE[x, y] if a.array.ndim and b.array.ndim else result_dtype((a.array, b.array))
    if floats and not is_floating(dtype):
        dtype = get_default_dtype()
    return a if x is dtype else a.to(dtype), b if y is dtype else b.to(dtype)


def wrapped(number, dtype):
    """A Python number as an integer dtype stores it: its lowest bits."""
    if dtype is bool_:
        return number
    bits = 8 * dtype.itemsize
    low = int(number) & ((1 << bits) - 1)
    return low - (1 << bits) if dtype.kind == "i" and low >> (bits - 1) else low


def operand(op, value, like):
    """A number or numpy array as a Tensor; a number takes dtype `like` unless it is of a higher kind."""
    if isinstance(value, (bool, int, float)):
        dtype = result_dtype((np.empty(1, like), value))
        return wrap(np.asarray(value if is_floating(dtype) else wrapped(value, dtype), dtype))
    if isinstance(value, (np.ndarray, np.generic)):
        return ops.as_tensor(value)
    raise TypeError(f"[{op}] operands must be Tensors or numbers, found {type(value).__name__}")


def binary(value, *grads, floats=False, bools=True, dtype=None, inplace_form=True):
    """Define an op of two broadcast tensors. `dtype`: that of the result, if fixed (comparisons: bool)."""

    def define(function):
        name = function.__name__.lstrip("_")
        uses = tuple(tuple(n for n in _names(g) if n in ("a", "b", "y")) for g in grads)
        members = {
            "forward_kernel": _kernel(f"{name}_forward", value, key=0 if dtype is None else 1),
            **{"table": _savings(uses), "uses": uses, "formulas": grads, "dtype": dtype, "label": name},
        }
        cls = type(name.title().replace("_", ""), (Binary,), members)

        @wraps(function)
        def public(input, other):
            if type(other) is float and type(input) is Tensor and is_floating(input.array.dtype):
                return cls.apply(input, other)
            if not bools:
                check_bools(name, input, other)
            return cls.apply(*common(name, input, other, floats, dtype is None))

        if function.__name__ != name:
            return public
        if inplace_form:
            method(_inplace_binary(name, public, cls))
        return method(public)

    return define


def _inplace_binary(name, public, cls):
    """`x.add_(y)`: straight into the memory of x when nothing is recorded, else by way of `overwrite`."""

    def form(input, other):
        recorded = mode.enabled and (input.requires_grad or (isinstance(other, Tensor) and other.requires_grad))
        same = isinstance(other, Tensor) and other.dtype is input.dtype and owner(other.array) is not owner(input.array)
        if recorded or not same or cls.dtype is not None or not is_floating(input.dtype):
            return overwrite(f"{name}_", input, public(input, other))
        check_writable(f"{name}_", input, broadcast_sizes(name, input.shape, other.shape), input.dtype)
        cls.forward_kernel(input.array, input.array, other.array)
        mutation.touch(input.array, f"{name}_")
        return input

    form.__name__ = form.__qualname__ = f"{name}_"
    form.__doc__ = f"`{name}` in place: the result takes the memory of `input`, which is returned."
    return form
