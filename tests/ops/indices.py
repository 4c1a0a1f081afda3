"""indices: what tests index with: arrays of places, and random index expressions as numpy and as users write them."""

import math

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

import minigrad as mg
from tests import device


def index(n, *shape):
    """For a `Case`: an array of that shape with places of a dimension of size n."""
    return lambda rng: rng.integers(0, n, shape)


# Random index expressions, some of which numpy refuses ---------------------------------------------------------------

SLICES = st.builds(slice, *[st.none() | st.integers(-5, 5)] * 2, st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]))
PLAIN = st.sampled_from([None, Ellipsis, True, False, np.True_])


def arrays_of(shape, element):
    size, dtype = math.prod(shape), bool if element is BOOLS else np.int64
    return st.lists(element, min_size=size, max_size=size).map(lambda v: np.array(v, dtype).reshape(shape))


BOOLS = st.booleans()


def whole_numbers(n, shape):
    """Integer arrays that index `n` places, of a shape that broadcasts to `shape`."""
    shapes = st.sampled_from([shape, shape[1:], (1,) * len(shape)]) if n else st.just((0,))
    return shapes.flatmap(lambda s: arrays_of(s, st.integers(-n, n - 1) if n else st.just(0)))


@st.composite
def indices(draw, shape):
    """A tuple that says something of each dimension, or leaves the last ones out; in one of 20 cases it is wrong."""
    arrays, items, d = draw(st.sampled_from([(2,), (3, 1), (2, 3), (0,), (1,)])), [], 0
    while d < len(shape) and draw(st.integers(0, 9)):
        n, kind = shape[d], draw(st.sampled_from("iiisssaaampp"))
        if kind == "p":
            items.append(draw(PLAIN))
            continue
        if kind == "m":
            dims = draw(st.integers(1, len(shape) - d))
            items.append(draw(arrays_of(shape[d : d + dims], BOOLS)))
            d += dims
            continue
        strategy = {"i": st.integers(-n, n - (1 if n else 0)), "s": SLICES, "a": whole_numbers(n, arrays)}[kind]
        items.append(draw(strategy))
        d += 1
    if not draw(st.integers(0, 19)):
        items.append(draw(st.sampled_from([9, np.array([9]), np.ones(7, bool), 0, 0])))
    return tuple(items)


def dressed(index, kinds):
    """The same index with its arrays as Tensors, lists or numpy arrays, and 0-dim Tensors for some ints."""
    forms = (mg.tensor, np.asarray, lambda a: a.tolist())
    out = []
    for i, kind in zip(index, kinds, strict=False):
        if isinstance(i, np.ndarray):
            i = forms[kind](i) if i.size or kind != 2 else i  # [] says nothing of the other dimensions
        elif type(i) is int and kind == 0:
            i = mg.tensor(i)
        out.append(i)
    return tuple(out) if len(out) != 1 or isinstance(out[0], list) else out[0]


@st.composite
def cases(draw):
    shape = draw(st.sampled_from([(4, 3, 5), (3, 4), (5,), (), (2, 0, 3), (2, 3, 2, 3), (1, 4)]))
    index = draw(indices(shape))
    kinds = draw(st.lists(st.integers(0, 2), min_size=len(index), max_size=len(index)))
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape), index, dressed(index, kinds)


def numpy_reads(x, index):
    try:
        return x[index]
    except IndexError:
        if device.name in ("cuda", "cuda-stand-in"):
            reject()  # a kernel on a GPU raises nothing
        return None
    except DeprecationWarning:  # numpy < 2.4 lets an index out of range pass where nothing is selected
        reject()
