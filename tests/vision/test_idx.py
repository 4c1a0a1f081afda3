"""read_idx: arrays out of bytes, and nothing but ValueError out of wrong ones."""

import gzip
import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.vision.datasets import read_idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array):
    """An IDX file by the book."""
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)),
    st.lists(st.integers(0, 4), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(["bytes", "bytearray", "memoryview"]),
)
def test_every_type_and_shape(code, shape, compressed, kind):
    array = (np.random.default_rng(0).random(shape) * 100).astype(code)
    content = gzip.compress(idx(array)) if compressed else idx(array)
    content = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}[kind](content)
    out = read_idx(content)
    assert isinstance(out, mg.Tensor)
    assert out.dtype == array.dtype
    assert out.dtype.isnative
    assert np.array_equal(out.numpy(), array)
    assert out.array.flags.writeable


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_paths(tmp_path, kind, compressed):
    content = idx(np.arange(6, dtype=np.int32).reshape(2, 3))
    (tmp_path / "x").write_bytes(gzip.compress(content) if compressed else content)
    assert read_idx(kind(tmp_path / "x")).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(FileNotFoundError):
        read_idx(kind(tmp_path / "y"))


WHOLE = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
PACKED = gzip.compress(WHOLE)
BAD = {
    "nothing": (b"", "starts with nothing"),
    "too short": (b"\0\0\x08", "starts with 00 00 08"),
    "another magic": (b"\x89PNG" + WHOLE, "starts with 89 50 4e 47"),
    "an unknown type": (b"\0\0\x0a\1" + bytes(8), "type 0x0a, expected 0x08, 0x09"),
    "no dimensions": (b"\0\0\x08\0" + bytes(8), "found 0 dimensions"),
    "too many dimensions": (b"\0\0\x08\xff" + bytes(2000), "found 255 dimensions"),
    "dimensions cut off": (b"\0\0\x08\2\0\0\0\1", "ends within its 2 dimensions"),
    "elements cut off": (WHOLE[:-1], r"expected 6 bytes for shape \(2, 3\) of uint8, found only 5"),
    "elements left over": (WHOLE + b"\0", "expected 6 bytes .* found more"),
    "far too large": (b"\0\0\x0e\2" + b"\xff" * 8, "expected at most 1073741824 bytes"),
    "far too large but empty": (b"\0\0\x0e\3" + b"\xff" * 8 + bytes(4), "expected at most"),
    "gzip cut off": (PACKED[:-9], "damaged gzip"),
    "gzip with a wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "damaged gzip"),
    "gzip of nonsense": (gzip.compress(b"nonsense"), "starts with 6e 6f 6e 73"),
    "gzip with more behind it": (PACKED + b"junk", "damaged gzip"),
    "only the sign of gzip": (b"\x1f\x8b", "damaged gzip"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name):
    content, text = BAD[name]
    with pytest.raises(ValueError, match=rf"\[read_idx\] .*{text}"):
        read_idx(content)


def test_the_limit():
    assert read_idx(WHOLE, max_bytes=6).shape == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected at most 5 bytes"):
        read_idx(WHOLE, max_bytes=5)


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\x08\1" + struct.pack(">I", 2**30) + bytes(10),
        gzip.compress(b"\0\0\x08\1" + struct.pack(">I", 2**30) + bytes(10)),
        gzip.compress(b"\0\0\x08\1" + struct.pack(">I", 10) + bytes(50_000_000)),
    ],
    ids=["a claim", "a claim, compressed", "a bomb"],
)
def test_memory_follows_what_is_there(content):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"\[read_idx\] expected"):
            read_idx(content)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=300)
@given(st.sampled_from([WHOLE, PACKED]), st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=2)), max_size=3))
def test_damage(content, edits):
    mutant = bytearray(content)
    for at, new in edits:
        mutant[at : at + 1] = new
    try:
        out = read_idx(bytes(mutant))
    except ValueError as error:
        assert str(error).startswith("[read_idx]")
        return
    assert out.nbytes < len(WHOLE) + 10


def test_an_open_file_is_not_read_beyond_need():
    class Watched(io.BytesIO):
        asked = 0

        def read(self, n=-1):
            assert n >= 0
            Watched.asked += n
            return super().read(n)

    from minigrad.vision.datasets.idx import parse

    with pytest.raises(ValueError, match="more than that"):
        parse(Watched(WHOLE + bytes(10_000_000)))
    assert Watched.asked < 100
