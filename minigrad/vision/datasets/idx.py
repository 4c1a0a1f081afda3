"""idx: the file format of MNIST.

    2 bytes 0    1 byte type    1 byte number of dimensions    4 bytes each dimension    the elements

Numbers are big-endian. The file may be compressed with gzip. No more is decompressed than the header speaks of, and
never more than the limit.
Source: http://yann.lecun.com/exdb/mnist/ (file formats, at the bottom).
"""

import gzip
import io
import math
import os
import zlib

import numpy as np

from minigrad.tensor import wrap

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 1 << 30
CHUNK = 1 << 20


def read_idx(path_or_bytes, max_bytes=MAX_BYTES):
    """The Tensor in an IDX file, compressed with gzip or not.

    Args:
        path_or_bytes: a path, or the file's content.
        max_bytes: the largest array to accept.
    Errors: ValueError if the content is not exactly what its header says, with what was found and what was expected.

    >>> from minigrad.vision.datasets import read_idx
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    tensor([7, 8, 9], dtype=uint8)
    """
    if isinstance(path_or_bytes, (str, os.PathLike)):
        with open(path_or_bytes, "rb") as file:
            return wrap(parse(file, max_bytes))
    return wrap(parse(io.BytesIO(path_or_bytes), max_bytes))


def parse(file, max_bytes=MAX_BYTES):
    """The ndarray in a binary file."""
    stream = decompressed(file)
    dtype, shape = _header(stream)
    size = math.prod(shape) * dtype.itemsize
    if math.prod(d for d in shape if d) * dtype.itemsize > max_bytes:
        raise ValueError(f"[read_idx] found the shape {shape}, expected at most {max_bytes} bytes (max_bytes)")
    body = take(stream, size + 1)
    if len(body) != size:
        found = f"only {len(body)}" if len(body) < size else "more than that"
        raise ValueError(f"[read_idx] expected {size} bytes for shape {shape} of {dtype.name}, found {found}")
    array = np.frombuffer(body, dtype).reshape(shape)
    return array if dtype.itemsize == 1 else array.astype(dtype.newbyteorder("="))


def _header(stream):
    magic = bytes(take(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"[read_idx] the file starts with {magic.hex(' ') or 'nothing'}, expected 00 00, type, dimensions"
        )
    if magic[2] not in TYPES:
        raise ValueError(f"[read_idx] found the type {magic[2]:#04x}, expected {', '.join(f'{t:#04x}' for t in TYPES)}")
    if not 1 <= magic[3] <= 64:
        raise ValueError(f"[read_idx] found {magic[3]} dimensions, expected 1 to 64")
    sizes = take(stream, 4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"[read_idx] the file ends within its {magic[3]} dimensions")
    return np.dtype(TYPES[magic[2]]), tuple(np.frombuffer(sizes, ">u4").tolist())


def decompressed(file):
    """`file`, or what is in it if it is compressed."""
    start = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if start == b"\x1f\x8b" else file


def take(stream, count):
    """Up to `count` bytes, without believing that there are so many."""
    out = bytearray()
    try:
        while len(out) < count and (piece := stream.read(min(CHUNK, count - len(out)))):
            out += piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"[read_idx] found a damaged gzip file ({error}), expected a whole one") from None
    return out
