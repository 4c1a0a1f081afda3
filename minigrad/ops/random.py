"""random: tensors of random numbers, and the in-place fills. The stream is `minigrad.random`'s; no gradient flows."""

from minigrad import mutation
from minigrad.dtypes import as_dtype, float32, get_default_dtype, int64, is_floating
from minigrad.ops.creation import as_shape, placed
from minigrad.ops.inplace import check_writable, copy_forward
from minigrad.ops.operands import check_tensor
from minigrad.random import default_generator
from minigrad.tensor import Tensor, method, wrap


def _float_dtype(op, dtype):
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not is_floating(dtype):
        raise RuntimeError(f"[{op}] only floating dtypes can be drawn, found {dtype}")
    return dtype


@placed
def rand(*size, generator=None, dtype=None, requires_grad=False, device=None):
    """Uniform numbers in [0, 1), multiples of 2^-24.

    >>> import minigrad as mg
    >>> mg.rand(2, 3).shape
    (2, 3)
    """
    array = (generator or default_generator).uniform(as_shape("rand", size), _float_dtype("rand", dtype))
    return wrap(array).requires_grad_(requires_grad)


@placed
def randn(*size, generator=None, dtype=None, requires_grad=False, device=None):
    """Normal numbers, mean 0 and standard deviation 1 (Box-Muller).

    >>> import minigrad as mg
    >>> mg.randn(2, 3).shape
    (2, 3)
    """
    array = (generator or default_generator).normal(as_shape("randn", size), _float_dtype("randn", dtype))
    return wrap(array).requires_grad_(requires_grad)


@placed
def randint(low, high=None, size=None, *, generator=None, dtype=int64, requires_grad=False, device=None):
    """Integers from `low` (0 if left out) up to but without `high`.

    Errors: RuntimeError unless low < high.

    >>> import minigrad as mg
    >>> x = mg.randint(0, 10, (5,))
    >>> x.shape, bool((x < 10).all())
    ((5,), True)
    """
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    if high is None or size is None:
        raise TypeError("[randint] expected (high, size) or (low, high, size)")
    if not low < high:
        raise RuntimeError(f"[randint] low must be below high, found {low} and {high}")
    array = (generator or default_generator).integers(low, high, as_shape("randint", (tuple(size),)))
    return wrap(array.astype(as_dtype(dtype), copy=False)).requires_grad_(requires_grad)


@placed
def randperm(n, *, generator=None, dtype=int64, device=None):
    """0 to n - 1 in random order.

    >>> import minigrad as mg
    >>> sorted(mg.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    return wrap(
        (generator or default_generator).permutation(as_shape("randperm", (n,))[0]).astype(as_dtype(dtype), copy=False)
    )


def rand_like(input, *, generator=None, dtype=None, requires_grad=False):
    """`rand` in the shape and dtype of `input`."""
    return rand(input.shape, generator=generator, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input, *, generator=None, dtype=None, requires_grad=False):
    """`randn` in the shape and dtype of `input`."""
    return randn(input.shape, generator=generator, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randint_like(input, low, high=None, *, generator=None, dtype=None):
    """`randint` in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, generator=generator, dtype=dtype or input.dtype)


def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None):
    """Normal numbers of a mean and a standard deviation (numbers, or Tensors that are broadcast).

    >>> import minigrad as mg
    >>> mg.normal(5.0, 0.0, (2,))
    tensor([5., 5.])
    """
    shapes = [v.shape for v in (mean, std) if isinstance(v, Tensor)]
    if size is None and not shapes:
        raise TypeError("[normal] size is missing: mean and std are numbers")
    like = (mean * std if len(shapes) == 2 else mean if isinstance(mean, Tensor) else std) if shapes else None
    return randn(size if size is not None else like.shape, generator=generator, dtype=dtype) * std + mean


@method
def bernoulli(input, *, generator=None):
    """1 with the probability that each element of `input` gives, else 0.

    Errors: RuntimeError for a probability outside [0, 1].

    >>> import minigrad as mg
    >>> mg.bernoulli(mg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    check_tensor("bernoulli", input)
    if not ((input.array >= 0) & (input.array <= 1)).all():
        raise RuntimeError("[bernoulli] probabilities must lie in [0, 1]")
    draws = (generator or default_generator).uniform(input.shape)
    return wrap((draws < input.array.astype(float32)).astype(input.dtype))


# In place ------------------------------------------------------------------------------------------------------------


PIECE = 1 << 16  # numbers; a multiple of four, so that pieces take the stream as the whole would


def _fill(op, tensor, draw):
    """Write draw(shape) over `tensor`; where its elements lie in order piece by piece: nothing large is made."""
    check_writable(op, tensor, tensor.shape, tensor.dtype)
    array = tensor.array
    flat = array.reshape(-1) if array.flags.c_contiguous else None
    for at in range(0, array.size, PIECE) if flat is not None else ():
        part = flat[at : at + PIECE]
        copy_forward(part, draw(part.shape).astype(array.dtype, copy=False))
    if flat is None:
        copy_forward(array, draw(array.shape).astype(array.dtype, copy=False))
    mutation.touch(array, op)
    return tensor


@method
def uniform_(self, from_=0.0, to=1.0, *, generator=None, **bounds):
    """Fill with uniform numbers in [from, to), in place. Errors: RuntimeError unless from <= to."""
    low = bounds.pop("from", from_)
    if bounds:
        raise TypeError(f"[uniform_] unexpected arguments {sorted(bounds)}")
    if not low <= to:
        raise RuntimeError(f"[uniform_] expected from <= to, found {low} and {to}")
    dtype, uniform = _float_dtype("uniform_", self.dtype), (generator or default_generator).uniform
    return _fill("uniform_", self, lambda shape: uniform(shape, dtype) * (to - low) + low)


@method
def normal_(self, mean=0.0, std=1.0, *, generator=None):
    """Fill with normal numbers, in place. Errors: RuntimeError for a negative std."""
    if not std >= 0:
        raise RuntimeError(f"[normal_] std must not be negative, found {std}")
    dtype, normal = _float_dtype("normal_", self.dtype), (generator or default_generator).normal
    return _fill("normal_", self, lambda shape: normal(shape, dtype) * std + mean)


@method
def bernoulli_(self, p=0.5, *, generator=None):
    """Fill with 1 with probability p, else 0, in place. Errors: RuntimeError for p outside [0, 1]."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"[bernoulli_] p must lie in [0, 1], found {p}")
    uniform = (generator or default_generator).uniform
    return _fill("bernoulli_", self, lambda shape: uniform(shape) < p)


__all__ = ["bernoulli", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm"]
