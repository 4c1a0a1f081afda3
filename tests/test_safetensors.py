"""The safetensors format: by the book, under any damage, and beside the package of its authors."""

import io
import json
import math
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import dtypes
from minigrad.tensor import wrap
from minigrad.utils import safetensors

STATE = {"w": mg.tensor([[1.0, -2.0], [3.5, 0.0]]), "mask": mg.tensor([True, False]), "n": mg.tensor(7)}


def saved(obj):
    file = io.BytesIO()
    mg.save(obj, file)
    return file.getvalue()


def bits(arrays):
    """All that there is to know of arrays or Tensors by name."""
    arrays = {name: getattr(a, "array", a) for name, a in arrays.items()}
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


def sample(dtype, shape):
    values = np.random.default_rng(0).integers(0, 100, shape)
    return values % 2 == 0 if dtype == dtypes.bool_ else values.astype(dtype)


# The format ----------------------------------------------------------------------------------------------------------


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(header, data=b"", pad=0):
    """A safetensors file by the book; `header` is an object or ready text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 8 + pad)
    return struct.pack("<Q", len(text)) + text + data


def test_a_file_made_by_hand():
    data = struct.pack("<2f", 1.5, -2.0) + struct.pack("<h", -3)
    loaded = mg.load(file_of({"a": entry("F32", [2, 1], 0, 8), "b": entry("I16", [], 8, 10)}, data))
    assert bits(loaded) == bits({"a": np.float32([[1.5], [-2.0]]), "b": np.array(-3, np.int16)})


def test_elements_start_at_a_multiple_of_64_bytes():
    assert (8 + struct.unpack("<Q", saved(STATE)[:8])[0]) % 64 == 0


def test_mmap_of_empty_and_unaligned_arrays(tmp_path):
    (tmp_path / "x").write_bytes(
        file_of({"a": entry("U8", [3], 0, 3), "b": entry("F32", [2], 3, 11)}, bytes(11), pad=1)
    )
    loaded = mg.load(tmp_path / "x", mmap=True)
    assert loaded["b"].array.flags.aligned
    mg.save({"e": wrap(np.empty((0, 3), np.float32))}, tmp_path / "y")
    assert mg.load(tmp_path / "y", mmap=True)["e"].shape == (0, 3)


F = entry("F32", [1], 0, 4)
BAD_HEADERS = {
    "text in place of JSON": (b"{nonsense", b"", "not the JSON"),
    "a list": (b"[]", b"", "expected a JSON object"),
    "space before it": (b" {}", b"", "expected a JSON object"),
    "no UTF-8": (b'{"\xff": 1}', b"", "UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), b"", "expected a JSON object"),
    "a name twice": (b'{"a": %b, "a": %b}' % ((json.dumps(F).encode(),) * 2), bytes(4), "occurs twice"),
    "a field twice": (b'{"a": {"dtype": "F32", "dtype": "F32"}}', b"", "occurs twice"),
    "NaN": (b'{"a": NaN}', b"", "found NaN"),
    "deep nesting": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"", "not the JSON"),
    "a number without end": (b'{"a": ' + b"9" * 5000 + b"}", b"", "not the JSON"),
    "metadata that is no dict": ({"__metadata__": 1}, b"", "metadata 1"),
    "metadata that is no text": ({"__metadata__": {"a": 1}}, b"", "expected texts"),
    "an entry that is no dict": ({"a": 1}, b"", "expected dtype, shape and data_offsets"),
    "a field too many": ({"a": F | {"more": 1}}, bytes(4), "expected dtype, shape and data_offsets"),
    "a field missing": ({"a": {"dtype": "F32", "shape": []}}, b"", "expected dtype, shape and data_offsets"),
    "an unknown dtype": ({"a": F | {"dtype": "F31"}}, bytes(4), "has dtype F31"),
    "a dtype that is no text": ({"a": F | {"dtype": ["F32"]}}, bytes(4), "has dtype"),
    "a negative dimension": ({"a": F | {"shape": [-1]}}, bytes(4), "not negative"),
    "a float dimension": ({"a": F | {"shape": [1.0]}}, bytes(4), "not negative"),
    "a bool dimension": ({"a": F | {"shape": [True]}}, bytes(4), "not negative"),
    "a shape that is no list": ({"a": F | {"shape": 1}}, bytes(4), "not negative"),
    "too many dimensions": ({"a": F | {"shape": [1] * 65}}, bytes(4), "at most 64"),
    "a huge dimension": ({"a": F | {"shape": [2**62]}}, bytes(4), f"expected {2**64}"),
    "a huge empty shape": ({"a": entry("F32", [0, 2**62, 2**62], 0, 0)}, b"", "has 0 bytes"),
    "three offsets": ({"a": F | {"data_offsets": [0, 4, 4]}}, bytes(4), "exactly 2"),
    "offsets the wrong way round": ({"a": F | {"data_offsets": [4, 0]}}, bytes(4), "has -4 bytes"),
    "too few bytes for the shape": ({"a": F | {"data_offsets": [0, 3]}}, bytes(3), "has 3 bytes, expected 4"),
    "a gap": ({"a": F, "b": entry("F32", [1], 8, 12)}, bytes(12), "starts at byte 8, expected 4"),
    "a gap at the start": ({"a": entry("F32", [1], 4, 8)}, bytes(8), "starts at byte 4, expected 0"),
    "an overlap": ({"a": F, "b": entry("F32", [1], 2, 6)}, bytes(6), "starts at byte 2, expected 4"),
    "the same bytes twice": ({"a": F, "b": F}, bytes(4), "starts at byte 0, expected 4"),
    "less data than spoken of": ({"a": F}, bytes(3), "found 3 bytes of elements, expected the 4"),
    "more data than spoken of": ({"a": F}, bytes(5), "found 5 bytes of elements, expected the 4"),
    "data without a name": ({}, bytes(1), "found 1 bytes of elements"),
    "a bool that is neither": ({"a": entry("BOOL", [2], 0, 2)}, b"\1\2", "byte 2, expected 0 or 1"),
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers(tmp_path, name, mmap):
    header, data, text = BAD_HEADERS[name]
    (tmp_path / "x").write_bytes(file_of(header, data))
    with pytest.raises(ValueError, match=text) as caught:
        mg.load(tmp_path / "x", mmap=mmap)
    assert str(caught.value).startswith("[load]")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "found 0 bytes"),
        (b"1234567", "found 7 bytes"),
        (struct.pack("<Q", 1), "header length of 1 in a file of 8"),
        (struct.pack("<Q", 2**63) + b"{}", f"header length of {2**63}"),
        (b"PK\3\4" + bytes(100), "pickle or zip"),
        (b"\x80\x02\x8a\x0al" + bytes(100), "pickle or zip"),
    ],
)
def test_bad_lengths(content, text):
    with pytest.raises(ValueError, match=text):
        mg.load(content)


def test_a_header_above_the_limit(monkeypatch):
    monkeypatch.setattr(safetensors, "MAX_HEADER", 10)
    with pytest.raises(ValueError, match="at most 10"):
        mg.load(file_of({"a": F}, bytes(4)))
    with pytest.raises(ValueError, match="at most 10"):
        mg.save(STATE, io.BytesIO())


TREES = {
    "a name that the file lacks": '{"$tensor":"b"}',
    "a name that is no text": '{"$tensor":[]}',
    "an unknown tag": '{"$set":[]}',
    "a float that is none": '{"$float":"1"}',
    "a float that is a list": '{"$float":[]}',
    "a tuple of nothing": '{"$tuple":null}',
    "a dict of no pairs": '{"$dict":[[1]]}',
    "a dict with a list as key": '{"$dict":[[[],1]]}',
    "a tensor left over": "1",
    "no JSON": "}",
    "a name twice": '{"a":1,"a":{"$tensor":"a"}}',
    "deep nesting": "[" * 500 + '{"$tensor":"a"}' + "]" * 500,
    "nesting without end": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("name", TREES)
def test_bad_trees(name):
    with pytest.raises(ValueError, match=r"\[load\]"):
        mg.load(file_of({"__metadata__": {"minigrad": TREES[name]}, "a": F}, bytes(4)))


# Any damage at all ---------------------------------------------------------------------------------------------------


TREE = {"model": STATE, "t": (1, [2.5, None]), 3: np.arange(5, dtype=np.int32)}
FILES = [saved(STATE), saved(TREE)]
UNSEALED = file_of(
    {"w": entry("F32", [2, 2], 0, 16), "m": entry("BOOL", [3], 16, 19), "e": entry("I64", [0], 19, 19)}, bytes(19)
)


@st.composite
def damaged(draw, content):
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at, end = (draw(st.integers(0, len(content))) for _ in range(2))
        kind = draw(st.sampled_from(["bit", "cut", "insert", "replace", "number", "end"]))
        if kind == "bit" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number" and (found := list(re.finditer(rb"\d+", content))):
            spot = draw(st.sampled_from(found))
            content[spot.start() : spot.end()] = b"%d" % draw(st.integers(0, 2**65))
        elif kind == "end":
            del content[at:]
        elif kind == "cut":
            del content[at : max(at, min(end, at + 9))]
        elif kind in ("insert", "replace"):
            content[at : at + (4 if kind == "replace" else 0)] = draw(st.binary(max_size=6))
    return bytes(content)


@settings(max_examples=400)
@given(st.data(), st.sampled_from(FILES))
def test_damage_is_found_or_harmless(data, content):
    mutant = data.draw(damaged(content))
    try:
        loaded = mg.load(mutant)
    except ValueError:
        return
    assert saved(loaded) == content or not mutant[8:].startswith(safetensors.SEAL)


@settings(max_examples=400)
@given(damaged(UNSEALED))
def test_damage_without_a_checksum_is_found_or_is_another_valid_file(mutant):
    try:
        loaded = mg.load(mutant)
    except ValueError:
        return
    assert all(isinstance(t, mg.Tensor) for t in loaded.values())
    assert sum(t.nbytes for t in loaded.values()) <= len(mutant)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_noise(content):
    with pytest.raises(ValueError, match=r"\[load\]"):
        mg.load(b"\x10\0\0\0\0\0\0\0" + content)


@pytest.mark.parametrize("content", FILES, ids=["state dict", "tree"])
def test_every_flipped_byte_is_found(content):
    for at in range(len(content)):
        mutant = bytearray(content)
        mutant[at] ^= 0x04
        if mutant[8:].startswith(safetensors.SEAL):
            with pytest.raises(ValueError, match=r"\[load\]"):
                mg.load(bytes(mutant))


# The package of the format's authors ---------------------------------------------------------------------------------


def foreign():
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    import safetensors.numpy

    return safetensors.numpy


# uint8 and the halves are read by it too; bfloat16 it only reads as raw bytes without torch
COMMON = [d for d in dtypes.ALL if d != dtypes.bfloat16]


def test_the_package_reads_our_files():
    package = foreign()
    state = {str(d): wrap(sample(d, (2, 3))) for d in COMMON} | {"scalar": mg.tensor(1.5), "empty": mg.zeros(0, 2)}
    read = package.load(saved(state))
    assert bits(read) == bits(state)
    assert sorted(package.load(saved(TREE))) == ["3", "model.mask", "model.n", "model.w"]


def test_we_read_files_of_the_package():
    package = foreign()
    arrays = {str(d): sample(d, (3, 2)) for d in COMMON} | {"scalar": np.array(1.5), "empty": np.zeros((0, 2))}
    assert bits(mg.load(package.save(arrays, metadata={"format": "np"}))) == bits(arrays)


def test_the_package_and_we_agree_on_bfloat16():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    foreign()
    import safetensors.torch

    values = [1.5, -2.0, math.inf]
    ours = safetensors.torch.load(saved({"x": mg.tensor(values, dtype=mg.bfloat16)}))["x"]
    assert torch.equal(ours, torch.tensor(values, dtype=torch.bfloat16))
    theirs = mg.load(safetensors.torch.save({"x": torch.tensor(values, dtype=torch.bfloat16)}))["x"]
    assert bits({"x": theirs}) == bits({"x": mg.tensor(values, dtype=mg.bfloat16)})


@settings(max_examples=150)
@given(damaged(UNSEALED))
def test_what_the_package_accepts_we_read_alike(mutant):
    package = foreign()
    try:
        ours = mg.load(mutant)
    except ValueError:
        return
    assert bits(package.load(mutant)) == bits(ours)
