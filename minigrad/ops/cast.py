"""cast: another dtype (or device) for the same values        dx = dy in the dtype of x"""

from minigrad.autograd import Op
from minigrad.backend import devices
from minigrad.backend.array import cast
from minigrad.dtypes import as_dtype, bfloat16, bool_, float16, float32, float64, int8, int16, int32, int64, uint8
from minigrad.ops.operands import check_tensor
from minigrad.tensor import Tensor, method, wrap


class Cast(Op):
    def forward(self, x, dtype):
        self.dtype = x.dtype
        return cast(x, dtype)

    def gradient(self, dy):
        return dy.to(self.dtype)


class Move(Op):
    """y = x, on another device."""

    def forward(self, x, device, non_blocking=False):
        self.device = devices.device_of(x)
        return devices.move(x, device, non_blocking)

    def gradient(self, dy):
        return dy.to(device=self.device)


@method
def to(input, *args, dtype=None, device=None, non_blocking=False, copy=False):
    """The tensor in another dtype or on another device; itself if nothing changes (a copy with `copy=True`).

    Args:
        args: a dtype, a device ("cpu", or one of `minigrad.cuda`), both, or another Tensor whose dtype and device to
            take.
        non_blocking (bool): do not wait for a copy to the GPU if the tensor is `pin_memory`'s; copies to the CPU are
            waited for in any case.

    Errors: TypeError for an unknown dtype, RuntimeError for a device that is not there.

    >>> import minigrad as mg
    >>> mg.tensor([1.7, -1.7]).to(mg.int64)
    tensor([ 1, -1])
    """
    check_tensor("to", input)
    dtype, device = destination(args, dtype, device)
    non_blocking = non_blocking or any(a is True for a in args)
    out = input if dtype is None or dtype is input.dtype else Cast.apply(input, dtype)
    out = out if device is None or device == input.device else Move.apply(out, device, non_blocking)
    return input.clone() if copy and out is input else out


def destination(args, dtype=None, device=None):
    """What arguments of `to` name: a dtype and a device, or None where nothing is said."""
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, str) and not _names_dtype(a):
            device = a
        elif a is not None and not isinstance(a, bool):  # non_blocking, by its place
            dtype = a
    return None if dtype is None else as_dtype(dtype), None if device is None else devices.known("to", device)


def _names_dtype(text):
    try:
        return as_dtype(text) is not None
    except TypeError:
        return False


@method
def pin_memory(input, device=None):
    """The tensor in memory of the CPU from which a GPU copies by itself; itself if it lies there.

    Errors: RuntimeError without a GPU, or for a tensor that is not on the CPU.
    """
    check_tensor("pin_memory", input)
    if missing := devices.no_gpu():
        raise RuntimeError(f"[pin_memory] there is no GPU: {missing}")
    if input.device != devices.CPU:
        raise RuntimeError(f"[pin_memory] the tensor is on {input.device}, expected the CPU")
    from minigrad.backend.pinned import pinned

    return input if input.is_pinned() else wrap(pinned(input.array))


@method
def is_pinned(input):
    """Whether the tensor lies in memory that `pin_memory` gave."""
    from minigrad.backend.pinned import is_pinned

    return is_pinned(input.array)


@method
def type_as(input, other):
    """`to` the dtype of `other`."""
    return to(input, other.dtype)


@method
def cpu(input):
    """The tensor on the CPU."""
    return to(input, device="cpu")


@method
def cuda(input, device=None, non_blocking=False):
    """The tensor on the GPU: `to` it. Errors: RuntimeError, which says what is missing, where there is none."""
    return to(input, device=device or devices.CUDA, non_blocking=non_blocking)


def _converter(name, dtype):
    def convert(input):
        return to(input, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {dtype}: `to(minigrad.{dtype})`."
    return method(convert)


_DTYPES = {"double": float64, "float": float32, "half": float16, "bfloat16": bfloat16, "long": int64, "int": int32}
_DTYPES |= {"short": int16, "char": int8, "byte": uint8, "bool": bool_}
for _name, _dtype in _DTYPES.items():
    _converter(_name, _dtype)
