"""logic: and, or, xor, not on bools and (bit by bit) on integers, any and all. No gradients."""

from minigrad.backend.array import array_module
from minigrad.dtypes import float64, is_floating
from minigrad.ops.inplace import inplace
from minigrad.ops.operands import broadcast_sizes, check_tensor, common
from minigrad.ops.reduce import as_dims
from minigrad.tensor import method, wrap


def _bitwise(name, compute):
    def public(input, other):
        check_tensor(name, input)
        a, b = common(name, input, other)
        if is_floating(a.dtype) or (hasattr(b, "dtype") and is_floating(b.dtype)) or isinstance(b, float):
            raise RuntimeError(
                f"[{name}] expected bools or integers, found {input.dtype} and {getattr(other, 'dtype', other)}"
            )
        broadcast_sizes(name, a.shape, getattr(b, "shape", ()))
        return wrap(compute(a.array, getattr(b, "array", b)))

    public.__name__ = public.__qualname__ = name
    inplace(public)
    return method(public)


bitwise_and = _bitwise("bitwise_and", lambda a, b: a & b)
bitwise_or = _bitwise("bitwise_or", lambda a, b: a | b)
bitwise_xor = _bitwise("bitwise_xor", lambda a, b: a ^ b)
bitwise_and.__doc__ = "a & b: logical and of bools, bit by bit on integers. Errors: RuntimeError on floats."
bitwise_or.__doc__ = "a | b: logical or of bools, bit by bit on integers. Errors: RuntimeError on floats."
bitwise_xor.__doc__ = "a ^ b: exclusive or of bools, bit by bit on integers. Errors: RuntimeError on floats."


@method
def bitwise_not(input):
    """~x: logical not of bools, bit by bit on integers. Errors: RuntimeError on floats."""
    check_tensor("bitwise_not", input)
    if is_floating(input.dtype):
        raise RuntimeError(f"[bitwise_not] expected bools or integers, found {input.dtype}")
    return wrap(~input.array)


@method
def logical_not(input):
    """Whether each element is zero."""
    check_tensor("logical_not", input)
    return wrap(input.array == 0)


def _quantifier(name, compute):
    def public(input, dim=None, keepdim=False):
        check_tensor(name, input)
        return wrap(compute(input.array != 0, as_dims(name, dim, input.ndim), keepdim))

    public.__name__ = public.__qualname__ = name
    public.__doc__ = f"Whether {name} element over `dim` (everything if None) is non-zero."
    return method(public)


all = _quantifier("all", lambda a, dims, keepdim: a.all(axis=dims, keepdims=keepdim))
any = _quantifier("any", lambda a, dims, keepdim: a.any(axis=dims, keepdims=keepdim))


@method
def isnan(input):
    """Whether each element is nan."""
    check_tensor("isnan", input)
    return wrap(array_module(input.array).isnan(input.array))


@method
def isfinite(input):
    """Whether each element is neither inf nor nan."""
    check_tensor("isfinite", input)
    return wrap(array_module(input.array).isfinite(input.array))


@method
def isinf(input):
    """Whether each element is inf or -inf."""
    check_tensor("isinf", input)
    return wrap(array_module(input.array).isinf(input.array))


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |input - other| <= atol + rtol |other| for all elements.

    >>> import minigrad as mg
    >>> mg.allclose(mg.tensor([1.0]), mg.tensor([1.0 + 1e-9]))
    True
    """
    check_tensor("allclose", input)
    check_tensor("allclose", other, "other")
    if input.dtype != other.dtype:
        raise RuntimeError(f"[allclose] both tensors must have one dtype, found {input.dtype} and {other.dtype}")
    broadcast_sizes("allclose", input.shape, other.shape)
    a, b = input.array.astype(float64), other.array.astype(float64)
    return bool(array_module(a).allclose(a, b, rtol, atol, equal_nan))


@method
def equal(input, other):
    """Whether two tensors have the same shape and the same elements."""
    check_tensor("equal", input)
    check_tensor("equal", other, "other")
    return input.shape == other.shape and bool((input.array == other.array).all())


__all__ = [
    "all",
    "allclose",
    "any",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "equal",
    "isfinite",
    "isinf",
    "isnan",
]
__all__ += ["logical_not"]
