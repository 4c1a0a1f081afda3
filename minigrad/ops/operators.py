"""operators: what `x + y`, `-x`, `x @ y` and numpy's ufuncs mean for Tensors. One line each, into the ops."""

import numpy as np

from minigrad.ops.binary import _add, _div, _sub, add, div, eq, ge, gt, le, lt, mul, ne, pow, sub
from minigrad.ops.creation import as_tensor
from minigrad.ops.logic import bitwise_and, bitwise_not, bitwise_or, bitwise_xor
from minigrad.ops.matmul import matmul
from minigrad.ops.operands import operand
from minigrad.ops.permute import permute, transpose
from minigrad.ops.rounding import floor_divide, remainder
from minigrad.ops.unary import abs, neg
from minigrad.tensor import Tensor

_DIRECT = (Tensor, float, int)  # and bool, which is an int
_ARRAYS = (np.ndarray, np.generic)


def _operator(function):
    """`self op other`; an operand that is no number is left to the other side."""

    def call(self, other):
        if isinstance(other, _DIRECT):
            return function(self, other)
        return function(self, as_tensor(other)) if isinstance(other, _ARRAYS) else NotImplemented

    return call


def _reflected(function):
    """`other op self`."""

    def call(self, other):
        if not isinstance(other, (*_DIRECT, *_ARRAYS)):
            return NotImplemented
        return function(operand(function.__name__.strip("_"), other, self.dtype), self)

    return call


_ARITHMETIC = {"add": _add, "sub": _sub, "mul": mul, "truediv": _div, "pow": pow, "matmul": matmul}
_ARITHMETIC |= {"floordiv": floor_divide, "mod": remainder, "and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor}
for _name, _function in _ARITHMETIC.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
    setattr(Tensor, f"__r{_name}__", _reflected(_function))

_COMPARISONS = {"eq": eq, "ne": ne, "gt": gt, "lt": lt, "ge": ge, "le": le}
for _name, _function in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))

# x += y writes into x, as in PyTorch
_IN_PLACE = {"iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_", "ipow": "pow_"}
_IN_PLACE |= {"ifloordiv": "floor_divide_", "imod": "remainder_"}
_IN_PLACE |= {"iand": "bitwise_and_", "ior": "bitwise_or_", "ixor": "bitwise_xor_"}
for _name, _method in _IN_PLACE.items():
    setattr(Tensor, f"__{_name}__", getattr(Tensor, _method))

Tensor.__neg__ = neg
Tensor.__pos__ = lambda self: self
Tensor.__abs__ = abs
Tensor.__invert__ = bitwise_not
Tensor.T = property(lambda self: permute(self, *reversed(range(self.ndim))), doc="All dimensions reversed.")
Tensor.mT = property(lambda self: transpose(self, -2, -1), doc="The last two dimensions swapped.")


# numpy's ufuncs ------------------------------------------------------------------------------------------------------

_UFUNCS = {np.add: add, np.subtract: sub, np.multiply: mul, np.divide: div, np.power: pow, np.matmul: matmul}
_UFUNCS |= {np.equal: eq, np.not_equal: ne, np.greater: gt, np.less: lt, np.greater_equal: ge, np.less_equal: le}
_UFUNCS |= {np.floor_divide: floor_divide, np.remainder: remainder, np.negative: neg, np.absolute: abs}
_UFUNCS |= {np.bitwise_and: bitwise_and, np.bitwise_or: bitwise_or, np.bitwise_xor: bitwise_xor, np.invert: bitwise_not}
_NAMED = ("exp", "log", "sqrt", "tanh", "sign", "maximum", "minimum")


def _array_ufunc(self, ufunc, method, *inputs, **options):
    """`np.exp(tensor)` is `minigrad.exp(tensor)`; a ufunc without a counterpart, or with options, is an error."""
    import minigrad.ops as ops

    function = _UFUNCS.get(ufunc) or (getattr(ops, ufunc.__name__) if ufunc.__name__ in _NAMED else None)
    if function is None or method != "__call__" or options:
        raise TypeError(f"[numpy.{ufunc.__name__}] has no form for Tensors here: use minigrad's ops, or tensor.numpy()")
    first, *rest = inputs
    if not isinstance(first, Tensor):
        first = operand(ufunc.__name__, first, rest[0].dtype)
    return function(first, *rest)


Tensor.__array_ufunc__ = _array_ufunc
