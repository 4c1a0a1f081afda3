"""save and load: what goes in comes out, other readers understand it, and no file can do harm."""

import io
import os

import numpy as np
import pytest
from hypothesis import given
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
    ids=["set", "object", "bytes", "key", "text", "complex", "objects"],
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
