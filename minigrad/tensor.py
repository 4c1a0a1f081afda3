"""tensor: an array, its gradient, and the graph node that made it.

Reading order: the three attributes, then what the array says of itself, then ways out to Python and numpy. What a
Tensor can compute is not written here: each op's file adds its method with `@method`, so that an op lives in one place
(`git grep "def softmax("`); the operators are in `ops/operators.py`, backward and hooks in `autograd.py`.
"""

from typing import Any

import numpy as np

from minigrad import mutation, recording
from minigrad.backend.devices import address, device_of, on_host
from minigrad.dtypes import bfloat16, canonical, is_floating
from minigrad.grad_mode import enable_grad


class Tensor:
    """An n-dimensional array that can remember how it was computed.

    Attributes:
        array: the raw array (numpy's on the CPU). Writing to it directly is not seen by autograd.
        node: the op that made this tensor; a `Leaf` if it is a leaf that wants a gradient; None if no gradient is
            tracked.
        slot: which output of `node` this is.
        base, recipe, epoch: for a view, the tensor it is a view of, how to take it again, and when (see `refresh`).

    Make one with `minigrad.tensor(data)`; `Tensor(data)` gives the default dtype, as in PyTorch.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    node: Any = None
    base: Any = None
    recipe: Any = None
    _grad: Any = None
    slot = epoch = 0
    __hash__ = object.__hash__
    __array_priority__ = 1000

    def __init__(self, data=()):
        from minigrad.dtypes import get_default_dtype
        from minigrad.ops.creation import tensor

        self.array = tensor(data, dtype=get_default_dtype()).array

    # What the array says of itself ---------------------------------------------------------------------------------

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def ndim(self):
        return self.array.ndim

    @property
    def device(self):
        return device_of(self.array)

    @property
    def itemsize(self):
        return self.array.itemsize

    @property
    def nbytes(self):
        return self.array.nbytes

    @property
    def _version(self):
        """How many in-place writes this tensor's memory has seen."""
        return mutation.version(self.array)

    def size(self, dim=None):
        """The shape, or its entry `dim`."""
        return self.array.shape if dim is None else self.array.shape[check_dim("size", dim, self.ndim)]

    def dim(self):
        """How many dimensions there are."""
        return self.array.ndim

    def numel(self):
        """How many elements there are."""
        return self.array.size

    nelement = numel

    def element_size(self):
        """The bytes of one element."""
        return self.array.itemsize

    def stride(self, dim=None):
        """Steps between neighbours along each dimension, in elements."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[check_dim("stride", dim, self.ndim)]

    def is_contiguous(self):
        """Whether the elements lie in memory in C order."""
        return self.array.flags.c_contiguous

    def is_floating_point(self):
        """Whether the dtype is a floating one, which can carry a gradient."""
        return is_floating(self.array.dtype)

    def data_ptr(self):
        """The address of the first element."""
        return address(self.array)

    # Gradient bookkeeping ------------------------------------------------------------------------------------------

    @property
    def grad(self):
        """The gradient that backward has accumulated, or None."""
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"[grad] expected a Tensor or None, found {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise RuntimeError(
                    f"[grad] expected shape {self.shape} and dtype {self.dtype}, found {value.shape} and {value.dtype}"
                )
        self._grad = value

    @property
    def data(self):
        """This tensor without its history, sharing memory; assigning replaces the array."""
        return wrap(self.array)

    @data.setter
    def data(self, value):
        self.array = value.array if isinstance(value, Tensor) else canonical(np.asarray(value))

    def refresh(self):
        """If the tensor that this is a view of was rewritten in place since, take the view of its new history."""
        if self.epoch != self.base.epoch:
            self.epoch = self.base.epoch
            with enable_grad():  # whoever looks first may be recording nothing, but the history is for all
                fresh = self.recipe(self.base)
            self.node, self.slot = fresh.node, fresh.slot

    # Ways out to Python --------------------------------------------------------------------------------------------

    def item(self):
        """The one element as a Python number. Errors: RuntimeError if there is not exactly one."""
        recording.refuse("[item] would read a value")
        if self.array.size != 1:
            raise RuntimeError(
                f"[item] a tensor of shape {self.shape} has {self.array.size} elements, expected exactly 1"
            )
        return self.array.item()

    def tolist(self):
        """The elements as nested lists of Python numbers; one number for 0 dimensions."""
        recording.refuse("[tolist] would read the values")
        return self.array.tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        if self.array.size != 1:
            raise RuntimeError(f"[bool] the truth of a tensor of shape {self.shape} is ambiguous: use any() or all()")
        return bool(self.item())

    def __index__(self):
        if is_floating(self.dtype):
            raise TypeError(f"[index] only integer tensors can be an index, found {self.dtype}")
        return int(self.item())

    def __len__(self):
        if self.array.ndim == 0:
            raise TypeError("[len] a 0-dim tensor has no length")
        return self.array.shape[0]

    def __iter__(self):
        return iter(self.unbind() if len(self) else ())

    def __contains__(self, value):
        return bool((self.array == (value.array if isinstance(value, Tensor) else value)).any())

    def __format__(self, spec):
        return format(self.item(), spec) if self.array.ndim == 0 and spec else object.__format__(self, spec)

    def __repr__(self):
        from minigrad.printing import tensor_repr

        return tensor_repr(self)

    # Ways out to numpy and its relatives ---------------------------------------------------------------------------

    def numpy(self):
        """The array, sharing memory.

        Errors: RuntimeError if a gradient is tracked (detach first), TypeError on another device (use cpu() first).
        """
        recording.refuse("[numpy] would give out the raw array")
        if self.requires_grad:
            raise RuntimeError(
                "[numpy] this tensor requires a gradient that numpy would not track: use detach().numpy()"
            )
        return on_host("numpy", self.array)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        if self.dtype is bfloat16:
            raise BufferError("[dlpack] numpy cannot export bfloat16: convert to float32 first")
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __deepcopy__(self, memo):
        if self.node is not None and not self.is_leaf:
            raise RuntimeError("[deepcopy] only leaf tensors can be deep-copied: use detach() or clone()")
        twin = memo[id(self)] = self._like(self.array.copy())
        twin._grad = None if self._grad is None else wrap(self._grad.array.copy())
        return twin

    def __copy__(self):
        return self._like(self.array)

    def _like(self, array):
        twin = type(self).__new__(type(self))
        own = {k: v for k, v in self.__dict__.items() if k not in ("node", "base", "recipe", "_grad", "slot", "epoch")}
        twin.__dict__.update(own, array=array)
        return twin.requires_grad_(self.requires_grad)

    def __reduce__(self):
        if self.node is not None and not self.is_leaf:
            raise RuntimeError("[pickle] only leaf tensors can be sent to another process: use detach()")
        return _rebuild, (type(self), np.ascontiguousarray(self.array).reshape(self.shape), self.requires_grad)


def _rebuild(kind, array, requires_grad):
    out = kind.__new__(kind)
    out.array = canonical(array)
    return out.requires_grad_(requires_grad)


_blank = object.__new__


def wrap(array, node=None, slot=0):
    """A Tensor around a raw array, with no checks and no copy."""
    out = _blank(Tensor)
    out.array = array
    if node is not None:
        out.node, out.slot = node, slot
    return out


def method(function):
    """Make a public function a Tensor method of the same name too."""
    setattr(Tensor, function.__name__, function)
    return function


def check_dim(op, dim, ndim):
    """`dim` as a non-negative index. Errors: IndexError out of range, TypeError if it is not an integer."""
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"[{op}] dim must be an int, found {type(dim).__name__}")
    span = max(ndim, 1)
    if not -span <= dim < span:
        raise IndexError(f"[{op}] dim {dim} out of range for {ndim} dimensions, expected {-span} to {span - 1}")
    return int(dim) % span
