"""collate: from a list of samples to a batch.

`default_collate` stacks what can be stacked, inside the containers that the samples come in; `default_convert` only
makes Tensors of arrays (for loaders without batches).
"""

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

import numpy as np

from minigrad.dtypes import as_dtype
from minigrad.tensor import Tensor, wrap


def default_collate(batch):
    """A batch of samples: Tensors, arrays and numbers are stacked along a new first dimension, containers are kept.

    Tensor, ndarray -> Tensor    int, bool, float -> int64, bool, float64    numpy scalar -> its dtype    text -> the
    list dict -> dict of batches      tuple, list -> list of batches              namedtuple -> the same

    Errors: RuntimeError if shapes or lengths differ, TypeError for anything else.

    >>> import minigrad as mg
    >>> from minigrad.utils.data import default_collate
    >>> default_collate([("a", {"x": 1}), ("b", {"x": 2})])
    [('a', 'b'), {'x': tensor([1, 2])}]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)) and not isinstance(first, (str, bytes)):
        return stack([wrap(np.asarray(item)) for item in batch])
    if isinstance(first, float):
        return wrap(np.array(batch, np.float64))
    if isinstance(first, int):
        return wrap(np.array(batch, bool if isinstance(first, bool) else np.int64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _mapping(first, {key: default_collate([item[key] for item in batch]) for key in first})
    if isinstance(first, Sequence):
        return _sequence(first, _columns(batch))
    raise TypeError(
        f"[default_collate] found {type(first).__name__}, expected Tensors, arrays, numbers, texts, dicts or sequences"
    )


def stack(batch):
    """Tensors of one shape, stacked; on the graph only if one of them is."""
    shapes = {item.shape for item in batch}
    if len(shapes) > 1:
        raise RuntimeError(f"[default_collate] found shapes {sorted(shapes)[:4]}, expected equal ones")
    if any(item.requires_grad for item in batch):
        from minigrad.ops import stack as differentiable

        return differentiable(list(batch))
    array = np.stack([item.array for item in batch])
    as_dtype(array.dtype)  # refuses what no Tensor can hold
    return wrap(array)


def _columns(batch):
    lengths = {len(item) for item in batch}
    if len(lengths) > 1:
        raise RuntimeError(f"[default_collate] found samples of lengths {sorted(lengths)}, expected equal ones")
    return [default_collate(column) for column in zip(*batch, strict=True)]


def _mapping(like, items):
    """`items` in the type of `like`, with the attributes of it, where that can be made."""
    try:
        if not isinstance(like, MutableMapping):
            return type(like)(items)
        clone = copy.copy(like)
        clone.update(items)
        return clone
    except TypeError:
        return items


def _sequence(like, items):
    if hasattr(like, "_fields"):
        return type(like)(*items)
    if isinstance(like, tuple):
        return items
    try:
        if not isinstance(like, MutableSequence):
            return type(like)(items)
        clone = copy.copy(like)
        clone[:] = items
        return clone
    except TypeError:
        return items


def rebuilt(like, items):
    """`items` in a container like the one that they come from."""
    if isinstance(like, Mapping):
        return _mapping(like, items)
    return tuple(items) if type(like) is tuple else _sequence(like, items)


def default_convert(data):
    """`data` with its arrays made Tensors that share their memory (and tuples lists, as in `default_collate`).

    >>> import numpy as np
    >>> from minigrad.utils.data import default_convert
    >>> default_convert({"x": np.zeros(2), "name": "a"})
    {'x': tensor([0., 0.], dtype=float64), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and np.asarray(data).dtype.kind not in "SUO":
        array = np.asarray(data)
        as_dtype(array.dtype)
        return wrap(array)
    if isinstance(data, Mapping):
        return _mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        items = [default_convert(item) for item in data]
        return _sequence(data, items)
    return data
