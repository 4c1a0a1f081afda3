"""kernel: the only dispatch. One name, several bodies, chosen by the kind of array and its dtype.

A kernel is a function on arrays, out-parameters first: `softmax_forward(y, x)`; several arrays may make one argument,
`Arrays`. The Python function under `@kernel` is its reference; a native body of the same name comes from the C++
extension, or, for arrays on another device, from csrc/cuda:

    float32             the native body if there is one, else the reference
    float16, bfloat16   the native body `<name>_<dtype>` if there is one, and if it takes what it is given; else widened
                        to float32, run as float32, rounded once on the way out
    all else            the reference

`use_backend("numpy")` or `tier("reference")` choose the reference everywhere; `MINIGRAD_TRACE=1` prints which body ran.
"""

import os
import sys
from contextlib import contextmanager
from functools import wraps

from minigrad import recording
from minigrad.backend import cpu, devices
from minigrad.backend.array import Arrays, cast, is_array, quiet
from minigrad.dtypes import HALVES, float32

KERNELS = {}  # name -> Kernel, in the order of definition
_native = cpu.kernels()  # name -> native body; empty when the reference is to run
_reference = False  # whether references were asked for, on every device
_trace = os.environ.get("MINIGRAD_TRACE", "0") not in ("", "0")


class Kernel:
    """One kernel: calling it runs the body for the array in position `key` (the first, unless said otherwise)."""

    def __init__(self, reference, outs, key):
        self.name, self.reference, self.outs, self.key = reference.__name__, quiet(reference), outs, key
        self.__doc__, self.__module__ = reference.__doc__, reference.__module__
        self.bodies = {}

    def __call__(self, *args):
        array = args[self.key]
        try:
            body = self.bodies[type(array), array.dtype]
        except KeyError:
            body = self.choose(array)
        body(*args)

    def choose(self, array):
        """Find the body for arrays like this one, once."""
        half = array.dtype in HALVES
        natives = natives_for(type(array))
        own = natives.get(f"{self.name}_{array.dtype}") if half else None
        body = own or (natives.get(self.name, self.reference) if half or array.dtype == float32 else self.reference)
        device = devices.device_of_type(type(array))
        where = "reference" if body is self.reference else f"native {cpu.isa() if device == devices.CPU else device}"
        if half and (own is None or device != devices.CPU):
            wide = widened(natives.get(self.name, self.reference), self.outs)
            body = either(own, wide) if own else wide
        body = traced(self.name, where, body) if _trace else body
        if recording.recorder is not None:
            native = None if half or body is self.reference else natives.get(self.name)
            body = recording.heard(self.name, body, native, self.outs)
        self.bodies[type(array), array.dtype] = body
        return body

    def native(self):
        return _native.get(self.name, self.reference)

    def __repr__(self):
        return f"<kernel {self.name}>"


def kernel(outs=1, key=0):
    """Make a reference function a kernel. `outs`: how many leading arguments it writes; `key`: whose dtype decides."""

    def register(reference):
        if reference.__name__ in KERNELS:
            raise ValueError(f"[kernel] {reference.__name__} is defined twice")
        KERNELS[reference.__name__] = Kernel(reference, outs, key)
        return KERNELS[reference.__name__]

    return register


def either(own, wide):
    """A body that runs `own`, and `wide` where that says NotImplemented: of arguments that are halves in part only."""

    @wraps(own)
    def call(*args):
        if own(*args) is NotImplemented:
            wide(*args)

    return call


def widened(body, outs):
    """A body for two-byte floats: compute in float32, round once."""

    @quiet
    @wraps(body)
    def call(*args):
        wide = [_widen(a) for a in args]
        body(*wide)
        for out, result in zip(args[:outs], wide, strict=False):
            if result is not out:
                _write_back(out, result)

    return call


def _widen(a):
    if isinstance(a, Arrays):
        return Arrays(map(_widen, a))
    return cast(a, float32) if is_array(a) and a.dtype in HALVES else a


def _write_back(out, result):
    if isinstance(out, Arrays):
        for o, r in zip(out, result, strict=True):
            o[...] = r
    else:
        out[...] = result


def traced(name, where, body):
    """A body that says on stderr that it runs, and on what."""

    def call(*args):
        shapes = " ".join(map(_shown, args))
        print(f"[minigrad] {name} ({where}) {shapes}", file=sys.stderr)
        body(*args)

    return call


def _shown(a):
    if isinstance(a, Arrays):
        return f"({' '.join(map(_shown, a))})"
    return f"{a.dtype}{list(a.shape)}" if is_array(a) else repr(a)


# Choosing the backend ------------------------------------------------------------------------------------------------


def backend_name():
    """The backend in use: "cpu" (C++ bodies where they exist) or "numpy" (the reference everywhere)."""
    return "cpu" if _native else "numpy"


def use_backend(name):
    """Run kernels on "cpu" (C++ bodies where they exist) or on "numpy" (the reference).

    Errors: ValueError for another name; RuntimeError when "cpu" is asked for and the extension is missing.

    >>> import minigrad as mg
    >>> before = mg.backend_name()
    >>> mg.use_backend("numpy")
    >>> mg.backend_name()
    'numpy'
    >>> mg.use_backend(before)
    """
    global _native, _reference
    if name not in ("cpu", "numpy"):
        raise ValueError(f"[use_backend] unknown backend {name!r}, expected 'cpu' or 'numpy'")
    if name == "cpu" and not cpu.kernels():
        raise RuntimeError(f"[use_backend] the C++ extension is not available: {cpu.reason()}")
    _native, _reference = cpu.kernels() if name == "cpu" else {}, name == "numpy"
    forget_choices()


def natives_for(array_type):
    """The bodies beside the references for arrays of a type, by name; none where the reference is to run."""
    if devices.device_of_type(array_type) == devices.CPU:
        return _native
    return {} if _reference else devices.kernels(array_type)


def tracing():
    """Whether MINIGRAD_TRACE is set."""
    return _trace


def forget_choices():
    """Make every kernel choose its bodies anew."""
    for k in KERNELS.values():
        k.bodies.clear()


@contextmanager
def tier(name):
    """Inside the block run "reference" bodies or "native" ones (those of the C++ extension)."""
    global _native, _reference
    before = _native, _reference
    use_backend({"reference": "numpy", "native": "cpu"}.get(name, name))
    try:
        yield
    finally:
        _native, _reference = before
        forget_choices()
