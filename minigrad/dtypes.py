"""dtypes: the element types and PyTorch's rules for mixing them.

A dtype is a numpy dtype object (`float32 is np.dtype("float32")`), so it works wherever numpy wants one.
`promote_types` mixes two of them; `result_type` mixes operands, where Python numbers weigh less than 0-dim arrays and
those less than arrays with dimensions, unless they are of a higher kind (bool < integer < float).
"""

import ml_dtypes
import numpy as np

float64 = double = np.dtype("float64")
float32 = np.dtype("float32")
float16 = half = np.dtype("float16")
bfloat16 = np.dtype(ml_dtypes.bfloat16)
int64 = long = np.dtype("int64")
int32 = np.dtype("int32")
int16 = short = np.dtype("int16")
int8 = np.dtype("int8")
uint8 = np.dtype("uint8")
bool_ = np.dtype("bool")

FLOATS = (float32, float64, float16, bfloat16)
HALVES = frozenset((float16, bfloat16))
INTEGERS = (uint8, int8, int16, int32, int64)
ALL = (bool_, *INTEGERS, *FLOATS)
_NAMES = {d.name: d for d in ALL}
_ONE = {d: d for d in ALL}  # any equal dtype object -> ours
_BOOL, _INT, _FLOAT = 0, 1, 2
_KIND = {d: _BOOL if d is bool_ else _INT if d in INTEGERS else _FLOAT for d in ALL}

_default = float32


def get_default_dtype():
    """The dtype of tensors made from Python floats (float32 unless changed).

    >>> import minigrad as mg
    >>> mg.get_default_dtype()
    dtype('float32')
    """
    return _default


def set_default_dtype(dtype):
    """Set the dtype of tensors made from Python floats. Errors: TypeError when it is not a floating dtype."""
    global _default
    dtype = as_dtype(dtype)
    if _KIND[dtype] != _FLOAT:
        raise TypeError(f"[set_default_dtype] only floating dtypes are supported, found {dtype}")
    _default = dtype


def as_dtype(dtype):
    """`dtype` (a numpy dtype or type, a Python type or a name) as one of the supported dtype objects."""
    if dtype is float:
        return _default
    found = _ONE.get(_NAMES.get(dtype) if isinstance(dtype, str) else np.dtype(dtype))
    if found is None:
        raise TypeError(f"[dtype] {dtype} is not supported, expected one of {', '.join(_NAMES)}")
    return found


def canonical(array):
    """`array`, or a view of it, whose dtype is the very object above: numpy has equal ones too (unpickled, long long).

    Errors: TypeError for a dtype that is not supported, or not in this machine's byte order.
    """
    dtype = as_dtype(array.dtype)
    return array if array.dtype is dtype else array.view(dtype)


def is_floating(dtype):
    """Whether values of this dtype can carry a gradient."""
    return _KIND.get(dtype) == _FLOAT


def _promote(a, b):
    if _KIND[a] != _KIND[b]:
        return a if _KIND[a] > _KIND[b] else b
    if _KIND[a] == _FLOAT:
        return float32 if {a, b} == HALVES else max(a, b, key=lambda d: d.itemsize)
    if uint8 in (a, b) and int8 in (a, b):
        return int16
    return max(a, b, key=lambda d: (d.itemsize, d is not uint8))


_TABLE = {(a, b): a if a is b else _promote(a, b) for a in ALL for b in ALL}


def promote_types(type1, type2):
    """The smallest dtype that PyTorch gives to a mix of two.

    >>> import minigrad as mg
    >>> mg.promote_types(mg.uint8, mg.int8), mg.promote_types(mg.int64, mg.float16)
    (dtype('int16'), dtype('float16'))
    """
    return _TABLE[as_dtype(type1), as_dtype(type2)]


def _python_dtype(value):
    if isinstance(value, bool):
        return bool_
    return int64 if isinstance(value, int) else _default


def _mix(found, dtype):
    return dtype if found is None else _TABLE[found, dtype]


def _outweigh(higher, lower):
    """The dtype of operands that outrank others: of those only a higher kind counts."""
    if higher is None or lower is None:
        return higher or lower
    return _TABLE[higher, lower] if _KIND[lower] > _KIND[higher] or higher is bool_ else higher


def result_dtype(operands):
    """The common dtype of raw arrays and Python numbers, by PyTorch's rules."""
    dimensioned = scalar = number = None
    for x in operands:
        if not isinstance(x, (np.ndarray, np.generic)) and not hasattr(x, "dtype"):
            number = _mix(number, _python_dtype(x))
        elif x.ndim:
            dimensioned = _mix(dimensioned, x.dtype)
        else:
            scalar = _mix(scalar, x.dtype)
    return _outweigh(_outweigh(dimensioned, scalar), number)
