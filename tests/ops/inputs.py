"""inputs: what rows are run on (shapes, values and memory layouts, listed or drawn), and how results are compared."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np

import minigrad as mg
from minigrad.dtypes import is_floating

LARGE = 200_003  # elements: several chunks of work, and a tail
SMALL = 2000  # up to this many, gradients are checked by differences
UNARY = [((5, 4, 3),), ((),), ((0,),), ((1,),), ((7,),), ((2, 0, 3),), ((3, 33),), ((LARGE,),), ((515, 390),)]
BINARY = [((3, 4), (3, 4)), ((5,), ()), ((), ()), ((1,), (1,)), ((3, 1), (1, 17)), ((2, 1, 4), (3, 1)), ((0, 3), (3,))]
BINARY += [((LARGE,), (LARGE,)), ((515, 390), (390,)), ((515, 1), (515, 390))]

# hypothesis strategies for the same
ONE = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5).map(lambda shape: (shape,))
TWO = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=5).map(lambda s: s.input_shapes)

EXTREMES = [0.0, -0.0, 1e3, -1e3, math.inf, -math.inf, math.nan, 1e-40, -1e-40]


def elements(shapes):
    """The size of the largest input of a set."""
    return max((math.prod(s) for s in shapes if isinstance(s, tuple)), default=0)


def draw(case, shapes, dtype=np.float64, seed=0):
    """Random inputs for a row: the same numbers in every dtype, all exact in float32."""
    rng = np.random.default_rng(seed)
    arrays = [s(rng) if callable(s) else rng.uniform(*case.values, s).astype(np.float32) for s in shapes]
    return [np.asarray(a) if callable(s) else np.asarray(a, dtype) for a, s in zip(arrays, shapes, strict=True)]


def beside(x, array):
    """An array as a Tensor of the dtype and on the device of `x`."""
    return mg.tensor(array, dtype=x.dtype, device=x.device)


def is_float(array):
    return is_floating(array.dtype)


def with_extremes(arrays, value, rng):
    """float32 inputs in which many elements are `value` (or one of several), and the same with denormals as 0."""
    mixed = [np.where(rng.random(a.shape) < 0.4, rng.choice(value, a.shape), a) if is_float(a) else a for a in arrays]
    mixed = [np.asarray(m, a.dtype) for m, a in zip(mixed, arrays, strict=True)]
    return mixed, [np.asarray(m * (np.abs(m) >= 1e-38)) if is_float(m) and abs(value[0]) < 1e-38 else m for m in mixed]


# Memory layouts: the same values elsewhere ---------------------------------------------------------------------------


def _into(place, a):
    place[...] = a
    return place


def columns_first(a):
    return a.T.copy().T


def every_other(a):
    wide = (*a.shape[:-1], 2 * a.shape[-1] + 1) if a.ndim else ()
    return _into(np.zeros_like(a, shape=wide)[..., 1::2], a) if a.ndim else a.copy()


def backwards(a):
    return a[..., ::-1].copy()[..., ::-1] if a.ndim else a.copy()


def off_alignment(a):
    return _into(np.zeros_like(a, shape=(a.size + 1,))[1:].reshape(a.shape), a)


def repeated(a):
    """Only here the values change: the first row stands for all, without memory of their own."""
    return np.broadcast_to(a[:1].copy(), a.shape) if a.ndim else a.copy()


LAYOUTS = [columns_first, every_other, backwards, off_alignment, repeated]


# Comparing -----------------------------------------------------------------------------------------------------------


def same(found, expected, rtol, atol, what):
    """Equal shapes, and values within tolerance; `atol` counts in units of the largest finite element."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if not is_float(expected):
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol, atol * scale, err_msg=what)


def same_runs(found, expected, rtol, atol, what):
    """`same` for all outputs and gradients of two runs."""
    for kind, left, right in zip(("output", "gradient"), found, expected, strict=True):
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            same(a, b, rtol, atol, f"{what}: {kind} {i}")
