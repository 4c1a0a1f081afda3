"""save and load: what goes in comes out, other readers understand it, and no file can do harm."""

import io
import json
import math
import os
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
from minigrad.utils.atomic import atomic_write


def same(a, b):
    """Equal in kind, structure, dtype, shape and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(x, y) for x, y in zip(a.values(), b.values(), strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, mg.Tensor):
        return same(a.array, b.array)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b or (a != a and b != b)


def through_bytes(obj):
    file = io.BytesIO()
    mg.save(obj, file)
    return mg.load(file.getvalue())


def sample(dtype, shape=(2, 3), seed=0):
    values = np.asarray(np.random.default_rng(seed).integers(0, 100, shape))
    return np.asarray(values % 2 == 0) if dtype == dtypes.bool_ else values.astype(dtype)


# What goes in comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (0, 5), (2, 1, 3, 1)], ids=str)
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype_and_shape(dtype, shape):
    state = {"w": wrap(sample(dtype, shape))}
    assert same(through_bytes(state), state)
    assert through_bytes(state)["w"].array.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0)[::-2],
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=">i2"),
        np.broadcast_to(np.float32(3), (2, 2)),
    ],
    ids=["transposed", "reversed", "big-endian float", "big-endian int", "broadcast"],
)
def test_any_layout(array):
    loaded = through_bytes({"a": array})["a"]
    assert (loaded == array).all()
    assert loaded.dtype == array.dtype.newbyteorder("=")
    assert loaded.flags.c_contiguous


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(),
    st.sampled_from(dtypes.ALL).map(lambda d: wrap(sample(d))),
    st.sampled_from(dtypes.ALL).map(lambda d: sample(d, (3,))),
)
keys = st.one_of(st.text(), st.sampled_from(["$tensor", "$dict", "__metadata__", "a.b", "a", "b"]))
any_keys = st.one_of(keys, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(any_keys, inner, max_size=4),
    ),
    max_leaves=12,
)


@given(trees)
def test_any_tree(tree):
    assert same(through_bytes(tree), tree)


def test_a_checkpoint():
    checkpoint = {
        "model": {"0.weight": mg.tensor([[1.0, 2.0]]), "0.bias": mg.tensor([3.0])},
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": mg.tensor([0.5, 0.25])}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "amsgrad": False, "params": [0, 1]}],
        },
        "epoch": 3,
        "best": float("-inf"),
    }
    file = io.BytesIO()
    mg.save(checkpoint, file)
    assert same(mg.load(file.getvalue()), checkpoint)
    arrays, _ = safetensors.read(io.BytesIO(file.getvalue()))
    assert sorted(arrays) == ["model.0.bias", "model.0.weight", "optimizer.state.0.exp_avg"]


def test_paths_that_meet_get_different_names():
    tree = {"a.b": mg.tensor([1.0]), "a": {"b": mg.tensor([2.0])}, "n": 1}
    assert same(through_bytes(tree), tree)


def test_a_tensor_that_occurs_twice_is_stored_once_and_stays_one():
    tied = mg.tensor([1.0, 2.0])
    loaded = through_bytes({"in": tied, "out": [tied], "n": 1})
    assert loaded["in"] is loaded["out"][0]


def test_numpy_scalars_become_numbers():
    assert same(through_bytes([np.float32(0.5), np.int64(3), np.bool_(True)]), [0.5, 3, True])


def test_the_same_object_gives_the_same_bytes():
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        mg.save({"b": mg.tensor([1.0]), "a": mg.tensor([True])}, file)
    assert files[0].getvalue() == files[1].getvalue()


def test_gradients_are_left_behind():
    loaded = through_bytes({"w": mg.tensor([1.0], requires_grad=True)})
    assert not loaded["w"].requires_grad


class Mystery:
    pass


@pytest.mark.parametrize(
    ("obj", "error", "text"),
    [
        ({"a": [1, {2, 3}]}, TypeError, r"a\.1 is a set"),
        ({"a": Mystery()}, TypeError, "a is a Mystery"),
        (b"bytes", TypeError, "the object is a bytes"),
        ({(1, 2): 3}, TypeError, "is a tuple"),
        ({"a": np.array(["text"])}, TypeError, "dtype <U4"),
        ({"a": np.zeros(2, complex)}, TypeError, "dtype complex128"),
        ({"a": np.array([None])}, TypeError, "dtype object"),
    ],
    ids=str,
)
def test_what_cannot_be_saved(obj, error, text):
    with pytest.raises(error, match=text):
        mg.save(obj, io.BytesIO())


def test_a_tree_that_contains_itself():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="deeper than 64"):
        mg.save(endless, io.BytesIO())


# Files ---------------------------------------------------------------------------------------------------------------


STATE = {"w": mg.tensor([[1.0, -2.0], [3.5, 0.0]]), "mask": mg.tensor([True, False]), "n": mg.tensor(7)}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_paths(tmp_path, kind, mmap):
    mg.save(STATE, kind(tmp_path / "x.safetensors"))
    assert same(mg.load(kind(tmp_path / "x.safetensors"), mmap=mmap), STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_open_files(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        mg.save(STATE, file)
    with open(tmp_path / "x", "rb") as file:
        assert same(mg.load(file), STATE)
    with open(tmp_path / "x", "rb") as file, pytest.raises(ValueError, match="expected a path"):
        mg.load(file, mmap=True)


def test_mmap_copies_on_write(tmp_path):
    mg.save(STATE, tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    loaded = mg.load(tmp_path / "x", mmap=True)
    loaded["w"].array[...] = 9
    assert (loaded["w"].array == 9).all()
    assert (tmp_path / "x").read_bytes() == before
    assert same(mg.load(tmp_path / "x", mmap=True), STATE)


def test_mmap_of_empty_and_unaligned_arrays(tmp_path):
    (tmp_path / "x").write_bytes(file_of({"a": entry("U8", [3], 0, 3), "b": entry("F32", [2], 3, 11)}, bytes(11), pad=1))
    loaded = mg.load(tmp_path / "x", mmap=True)
    assert loaded["b"].array.flags.aligned
    mg.save({"e": wrap(np.empty((0, 3), np.float32))}, tmp_path / "y")
    assert mg.load(tmp_path / "y", mmap=True)["e"].shape == (0, 3)


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    mg.save(STATE, tmp_path / "x")
    with pytest.raises(OSError, match="disk full"), atomic_write(tmp_path / "x") as file:
        file.write(b"half")
        raise OSError("disk full")
    assert same(mg.load(tmp_path / "x"), STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_file_is_on_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a)))
    mg.save(STATE, tmp_path / "x")
    assert calls == ["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_links_are_followed_and_the_mode_is_the_usual_one(tmp_path):
    (tmp_path / "real").write_bytes(b"")
    os.symlink(tmp_path / "real", tmp_path / "link")
    mg.save(STATE, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(mg.load(tmp_path / "real"), STATE)
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "real").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        mg.save(STATE, tmp_path / "nowhere" / "x")


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
    assert same(loaded, {"a": mg.tensor([[1.5], [-2.0]]), "b": mg.tensor(-3, dtype=mg.int16)})


def test_elements_start_at_a_multiple_of_64_bytes():
    file = io.BytesIO()
    mg.save(STATE, file)
    assert (8 + struct.unpack("<Q", file.getvalue()[:8])[0]) % 64 == 0


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


def saved(obj):
    file = io.BytesIO()
    mg.save(obj, file)
    return file.getvalue()


TREE = {"model": STATE, "t": (1, [2.5, None]), 3: np.arange(5, dtype=np.int32)}
FILES = [(saved(STATE), STATE), (saved(TREE), TREE)]
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
def test_damage_is_found_or_harmless(data, file):
    content, original = file
    mutant = data.draw(damaged(content))
    try:
        loaded = mg.load(mutant)
    except ValueError:
        return
    assert same(loaded, original) or not mutant[8:].startswith(safetensors.SEAL)


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


@pytest.mark.parametrize("content", [content for content, _ in FILES], ids=["state dict", "tree"])
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
    assert sorted(read) == sorted(state)
    assert all(same(read[name], tensor.array) for name, tensor in state.items())
    assert sorted(package.load(saved(TREE))) == ["3", "model.mask", "model.n", "model.w"]


def test_we_read_files_of_the_package():
    package = foreign()
    arrays = {str(d): sample(d, (3, 2)) for d in COMMON} | {"scalar": np.array(1.5), "empty": np.zeros((0, 2))}
    loaded = mg.load(package.save(arrays, metadata={"format": "np"}))
    assert sorted(loaded) == sorted(arrays)
    assert all(same(loaded[name].array, array) for name, array in arrays.items())


def test_the_package_and_we_agree_on_bfloat16():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    foreign()
    import safetensors.torch

    values = [1.5, -2.0, math.inf]
    ours = safetensors.torch.load(saved({"x": mg.tensor(values, dtype=mg.bfloat16)}))["x"]
    assert torch.equal(ours, torch.tensor(values, dtype=torch.bfloat16))
    theirs = mg.load(safetensors.torch.save({"x": torch.tensor(values, dtype=torch.bfloat16)}))["x"]
    assert same(theirs, mg.tensor(values, dtype=mg.bfloat16))


@settings(max_examples=150)
@given(damaged(UNSEALED))
def test_what_the_package_accepts_we_read_alike(mutant):
    package = foreign()
    try:
        ours = mg.load(mutant)
    except ValueError:
        return
    theirs = package.load(mutant)
    assert all(same(ours[name].array, theirs[name]) for name in ours)
