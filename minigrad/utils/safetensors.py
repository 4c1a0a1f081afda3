"""safetensors: named arrays in one file, written and read with every byte accounted for.

    8 bytes     length n of the header, unsigned, little-endian
    n bytes     JSON: {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, ...}
    the rest    the arrays' elements, C order, little-endian, without gaps

Reading order: `write` and `make_header`, then `read` and `parse_header`. A header is believed only after all its claims
fit each other and the size of the file, so nothing is allocated that the file does not hold. Our files also carry a
CRC-32 of everything after the length (first in the metadata, where other readers ignore it): a rotten file is found.
Source: format description at https://github.com/huggingface/safetensors.
"""

import itertools
import json
import math
import mmap as memory_map
import os
import zlib
from typing import NamedTuple

import numpy as np

from minigrad import dtypes

MAX_HEADER = 100_000_000  # the limit of the format's first implementation
ALIGNMENT = 64
MAX_BYTES = 2**63 - 1  # what numpy can address, counted without the dimensions that are zero
NAMES = {
    dtypes.float64: "F64",
    dtypes.int64: "I64",
    dtypes.float32: "F32",
    dtypes.int32: "I32",
    dtypes.float16: "F16",
    dtypes.bfloat16: "BF16",
    dtypes.int16: "I16",
    dtypes.int8: "I8",
    dtypes.uint8: "U8",
    dtypes.bool_: "BOOL",
}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
SEAL = b'{"__metadata__":{"minigrad.crc32":"'  # a header of ours starts so; eight hexadecimal digits follow
BLANK = "00000000"


class Entry(NamedTuple):
    """Where one array lies, in bytes after the header."""

    begin: int
    end: int
    dtype: np.dtype
    shape: tuple


# Writing -------------------------------------------------------------------------------------------------------------


def write(file, arrays, metadata=None):
    """Write `arrays` (name -> ndarray) and `metadata` (text -> text) to a binary file.

    Errors: TypeError for a dtype that the format lacks, ValueError for a name that it reserves or a header too long.
    """
    arrays = {name: _plain(name, array) for name, array in arrays.items()}
    layout = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # wide ones first: all are aligned
    header = make_header(arrays, layout, metadata or {})
    file.write(len(header).to_bytes(8, "little"))
    file.write(SEAL + b"%08x" % checksum(header, [arrays[name] for name in layout]) + header[len(SEAL) + len(BLANK) :])
    for name in layout:
        file.write(raw_bytes(arrays[name]))


def make_header(arrays, layout, metadata):
    """The JSON of the header, padded with spaces so that the elements start at a multiple of 64 bytes."""
    if "__metadata__" in arrays or not all(isinstance(name, str) for name in arrays):
        raise ValueError(f"[save] found the names {str(list(arrays))[:80]}, expected texts other than '__metadata__'")
    ends = dict(zip(layout, itertools.accumulate(arrays[name].nbytes for name in layout), strict=True))
    table = {"__metadata__": {"minigrad.crc32": BLANK, **metadata}}
    for name, array in arrays.items():
        offsets = [ends[name] - array.nbytes, ends[name]]
        table[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
    header = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    if len(header) > MAX_HEADER:
        raise ValueError(f"[save] found a header of {len(header)} bytes, expected at most {MAX_HEADER}")
    return header + b" " * (-(8 + len(header)) % ALIGNMENT)


def checksum(header, arrays):
    """CRC-32 of a header of ours, without the checksum in it, and of the elements."""
    crc = zlib.crc32(SEAL + header[len(SEAL) + len(BLANK) :])
    for array in arrays:
        crc = zlib.crc32(raw_bytes(array), crc)
    return crc


def raw_bytes(array):
    """The elements of a contiguous array as bytes, without a copy."""
    return array.reshape(-1).view(np.uint8)


def _plain(name, array):
    """The array in C order and the machine's byte order."""
    dtype = array.dtype.newbyteorder("=")
    if dtype not in NAMES:
        raise TypeError(f"[save] {name!r} has dtype {dtype}, expected one of {', '.join(map(str, NAMES))}")
    return np.asarray(array, dtype, order="C")


# Reading -------------------------------------------------------------------------------------------------------------


def read(file, mmap=False):
    """The arrays and the metadata of a seekable binary file.

    With `mmap` the arrays are windows on the file, copied page by page when written to, and the checksum is not taken.
    Errors: ValueError if anything in the file does not fit.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = _read_header(file, size)
    start = 8 + len(header)
    metadata, entries = parse_header(header, size - start)
    if mmap:
        window = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)
        return {name: _map_array(window, start, name, entry) for name, entry in entries.items()}, metadata
    arrays = {name: _read_array(file, name, entries[name]) for name in _by_place(entries)}
    if header.startswith(SEAL):
        _check_seal(header, checksum(header, arrays.values()))
    return {name: arrays[name] for name in entries}, metadata


def _read_header(file, size):
    first = file.read(8)
    if len(first) < 8:
        raise ValueError(f"[load] found {len(first)} bytes, expected a safetensors file: at least 8 and a header")
    length = int.from_bytes(first, "little")
    if length > min(MAX_HEADER, size - 8):
        raise ValueError(
            f"[load] found a header length of {length} in a file of {size} bytes, expected at most "
            f"{min(MAX_HEADER, size - 8)}{_other_format(first)}"
        )
    header = file.read(length)
    if len(header) < length:
        raise ValueError(f"[load] the file ends within its header: found {len(header)} bytes, expected {length}")
    return header


def _other_format(first):
    """A hint for the files that people try most often."""
    if first[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        return "; this looks like a pickle or zip file of another framework: save it as safetensors there"
    return ""


def parse_header(header, size):
    """The metadata and the entries by name of a header before `size` bytes of elements."""
    if header[:1] != b"{":
        raise ValueError(f"[load] found a header that starts with {header[:20]!r}, expected a JSON object")
    table = parse_json(_decode(header))
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"[load] found metadata {str(metadata)[:80]}, expected texts by name")
    metadata.pop("minigrad.crc32", None)
    entries, position = {name: _parse_entry(name, value) for name, value in table.items()}, 0
    for name in _by_place(entries):
        begin, end = entries[name][:2]
        if begin != position:
            raise ValueError(f"[load] {name!r} starts at byte {begin}, expected {position}: no gap, no overlap")
        position = end
    if position != size:
        raise ValueError(f"[load] found {size} bytes of elements, expected the {position} that the header speaks of")
    return metadata, entries


def _by_place(entries):
    return sorted(entries, key=lambda name: entries[name][:2])


def _decode(header):
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"[load] the header is not the UTF-8 expected: {error}") from None


def parse_json(text):
    """JSON from a stranger. Errors: ValueError, also for a name that occurs twice and for nesting without end."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"[load] the header is not the JSON expected: {error}") from None


def _unique(pairs):
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError(f"a name occurs twice among {str([name for name, _ in pairs])[:80]}")
    return table


def _refuse(constant):
    raise ValueError(f"found {constant}")


def _parse_entry(name, value):
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"[load] {name!r} has {str(value)[:80]}, expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"[load] {name!r} has dtype {str(dtype)[:80]}, expected one of {', '.join(DTYPES)}")
    if not _counts(shape) or len(shape) > 64 or not _counts(offsets) or len(offsets) != 2:
        raise ValueError(
            f"[load] {name!r} has shape {str(shape)[:80]} and data_offsets {str(offsets)[:80]}, "
            "expected at most 64 and exactly 2 numbers that are not negative"
        )
    begin, end = offsets
    _check_size(name, DTYPES[dtype], shape, end - begin)
    return Entry(begin, end, DTYPES[dtype], tuple(shape))


def _counts(values):
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_size(name, dtype, shape, found):
    expected = math.prod(shape) * dtype.itemsize
    if found != expected or math.prod(d for d in shape if d) * dtype.itemsize > MAX_BYTES:
        raise ValueError(f"[load] {name!r}, {dtype} {str(shape)[:80]}, has {found} bytes, expected {expected}")


def _read_array(file, name, entry):
    array = np.empty(entry.shape, entry.dtype)
    found = file.readinto(raw_bytes(array)) if array.nbytes else 0
    if found != array.nbytes:
        raise ValueError(f"[load] the file ends within {name!r}: found {found} bytes, expected {array.nbytes}")
    return _check_bool(name, array)


def _map_array(window, start, name, entry):
    if entry.begin == entry.end:
        return np.empty(entry.shape, entry.dtype)
    array = np.frombuffer(window, entry.dtype, math.prod(entry.shape), start + entry.begin).reshape(entry.shape)
    return _check_bool(name, array if array.flags.aligned else array.copy())


def _check_bool(name, array):
    if array.dtype == dtypes.bool_ and array.size and raw_bytes(array).max() > 1:
        raise ValueError(f"[load] {name!r} is BOOL and has a byte {raw_bytes(array).max()}, expected 0 or 1")
    return array


def _check_seal(header, crc):
    expected = header[len(SEAL) : len(SEAL) + len(BLANK)]
    if expected != b"%08x" % crc:
        raise ValueError(
            f"[load] found the checksum {crc:08x}, expected {expected.decode(errors='replace')}: the file was changed "
            "after it was saved (if on purpose, drop 'minigrad.crc32' from its metadata)"
        )
