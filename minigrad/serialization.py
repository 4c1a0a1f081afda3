"""serialization: `save` and `load` for tensors and what holds them, in the safetensors format and without pickle.

Reading order: `save`, `load`, then how a structure becomes named tensors (`Encoder`) and a structure again (`Decoder`).

A state dict (text -> Tensor) is saved under its own names, as any safetensors reader expects. Everything else is a
tree: its tensors are named by their path ("model.0.weight"), and the tree itself is JSON in the metadata under
"minigrad", where

    {"$tensor": name}  {"$array": name}   stand for a Tensor and an ndarray
    {"$tuple": [...]}                     for a tuple
    {"$dict": [[key, value], ...]}        for a dict whose keys are not all texts, or that has a key starting with "$"
    {"$float": "nan" | "inf" | "-inf"}    for the floats that JSON lacks
"""

import io
import json
import math
import os

import numpy as np

from minigrad.tensor import Tensor, wrap
from minigrad.utils import safetensors
from minigrad.utils.atomic import atomic_write

MAX_DEPTH = 64


def save(obj, f):
    """Save a state dict, or any tree of them, to a file in the safetensors format.

    A path is written to a temporary file and renamed when it is whole, so the old file stays until then. A tensor that
    occurs twice in a tree is stored once. Gradients and history are not saved; numpy scalars become Python numbers.

    Args:
        obj: a dict of Tensors, or nested dicts, lists and tuples of Tensor, ndarray, str, int, float, bool and None.
        f: a path, or a binary file open for writing.
    Errors: TypeError for an object or a dtype that cannot be saved, ValueError when nested deeper than 64.
    Source: safetensors, https://github.com/huggingface/safetensors.

    >>> import io, minigrad as mg
    >>> file = io.BytesIO()
    >>> mg.save({"model": {"weight": mg.tensor([1.0, 2.0])}, "epoch": 3}, file)
    >>> mg.load(file.getvalue())
    {'model': {'weight': tensor([1., 2.])}, 'epoch': 3}
    """
    arrays, metadata = _flatten(obj)
    if hasattr(f, "write"):
        safetensors.write(f, arrays, metadata)
    else:
        with atomic_write(f) as file:
            safetensors.write(file, arrays, metadata)


def load(f, *, mmap=False):
    """What `save` has saved; any other safetensors file gives a dict of Tensors.

    Args:
        f: a path, a binary file open for reading, or bytes.
        mmap: leave the elements in the file (a path is needed) and read them when they are used. Writing to such a
            tensor does not change the file. The checksum is not taken.
    Errors: ValueError if the file is not whole and valid, with what was found and what was expected.

    >>> import minigrad as mg
    >>> mg.load(bytes(3))
    Traceback (most recent call last):
        ...
    ValueError: [load] found 3 bytes, expected a safetensors file: at least 8 and a header
    """
    arrays, metadata = _read(f, mmap)
    if "minigrad" not in metadata:
        return {name: wrap(array) for name, array in arrays.items()}
    return Decoder(arrays).tree(metadata["minigrad"])


def _read(f, mmap):
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return safetensors.read(file, mmap)
    if mmap:
        raise ValueError(f"[load] mmap found {type(f).__name__}, expected a path")
    return safetensors.read(io.BytesIO(f.read() if hasattr(f, "read") else f))


# From structure to names ---------------------------------------------------------------------------------------------


def _flatten(obj):
    if _is_state_dict(obj):
        return {name: tensor.array for name, tensor in obj.items()}, {}
    encoder = Encoder()
    tree = json.dumps(encoder.encode(obj, ()), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return encoder.arrays, {"minigrad": tree}


def _is_state_dict(obj):
    named = isinstance(obj, dict) and "__metadata__" not in obj
    return named and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items())


class Encoder:
    """Makes JSON of a tree and gathers the arrays in it under unique names."""

    def __init__(self):
        self.arrays = {}
        self.names = {}  # id -> name: what occurs twice is stored once

    def encode(self, value, path):
        if len(path) > MAX_DEPTH:
            raise ValueError(f"[save] {'.'.join(path[:4])}... is nested deeper than {MAX_DEPTH}, or contains itself")
        if isinstance(value, Tensor):
            return {"$tensor": self.name(value, value.array, path)}
        if isinstance(value, np.ndarray):
            return {"$array": self.name(value, value, path)}
        if isinstance(value, dict):
            return self.dict(value, path)
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        return _scalar(value, path)

    def dict(self, value, path):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self.encode(item, (*path, key)) for key, item in value.items()}
        return {"$dict": [[_scalar(k, path), self.encode(v, (*path, str(k)))] for k, v in value.items()]}

    def name(self, owner, array, path):
        if id(owner) not in self.names:
            name = ".".join(path) or "value"
            while name in self.arrays or name == "__metadata__":
                name += "_"
            self.names[id(owner)], self.arrays[name] = name, array
        return self.names[id(owner)]


def _scalar(value, path):
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"[save] {'.'.join(path) or 'the object'} is a {type(value).__name__}, expected Tensor, ndarray, dict, list, "
        "tuple, str, int, float, bool or None"
    )


# From names to structure ---------------------------------------------------------------------------------------------


class Decoder:
    """Makes a tree of JSON, believing nothing that does not fit the arrays."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.made = {}

    def tree(self, text):
        tree = self.decode(safetensors.parse_json(text), 0)
        unused = self.arrays.keys() - {name for _, name in self.made}
        if unused:
            raise ValueError(f"[load] found tensors {sorted(unused)[:4]}, expected only those that the tree names")
        return tree

    def decode(self, value, depth):
        if depth > 2 * MAX_DEPTH + 2:  # a tagged container is two levels of JSON
            raise ValueError(f"[load] the tree is nested deeper than the {MAX_DEPTH} expected")
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)).startswith("$"):
            return self.tagged(*next(iter(value.items())), depth)
        return {key: self.decode(item, depth + 1) for key, item in value.items()}

    def tagged(self, tag, value, depth):
        if tag in ("$tensor", "$array") and isinstance(value, str) and value in self.arrays:
            return self.leaf(tag, value)
        if tag == "$float" and value in ("nan", "inf", "-inf"):
            return float(value)
        if tag == "$tuple" and isinstance(value, list):
            return tuple(self.decode(value, depth + 1))
        if tag == "$dict" and isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 for p in value):
            return {self.key(k): self.decode(v, depth + 2) for k, v in value}
        raise ValueError(f"[load] the tree has {tag}: {str(value)[:80]}, expected a tag and a name that the file has")

    def leaf(self, tag, name):
        if (tag, name) not in self.made:
            self.made[tag, name] = wrap(self.arrays[name]) if tag == "$tensor" else self.arrays[name]
        return self.made[tag, name]

    def key(self, value):
        key = self.decode(value, 0)
        if isinstance(key, (list, dict)):
            raise ValueError(f"[load] the tree has the dict key {str(key)[:80]}, expected a number or a text")
        return key
