"""The loader without worker processes: collation, PyTorch's batches, and the way without a loop over samples."""

import collections
import inspect
import itertools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.random import Generator
from minigrad.tensor import wrap
from minigrad.utils import data
from minigrad.utils.data.dataset import gather_batch, gather_samples


def listed(batch):
    """Tensors as nested lists, containers as they are."""
    if isinstance(batch, mg.Tensor):
        return batch.tolist()
    if isinstance(batch, (list, tuple)) and not hasattr(batch, "_fields"):
        return type(batch)(map(listed, batch))
    return {k: listed(v) for k, v in batch.items()} if isinstance(batch, dict) else batch


class Squares(data.Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        return index, float(index**2)

    def __len__(self):
        return self.n


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


# Collation -----------------------------------------------------------------------------------------------------------


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([1, 2], [1, 2]),
        ([0.5, 1.5], [0.5, 1.5]),
        ([True, False], [True, False]),
        ([(1, "a"), (2, "b")], [[1, 2], ("a", "b")]),
        ([[1, 2], [3, 4]], [[1, 3], [2, 4]]),
        ([{"k": 1}, {"k": 2}], {"k": [1, 2]}),
        ([{"k": [1, {"n": (2, 3)}]}] * 2, {"k": [[1, 1], {"n": [[2, 2], [3, 3]]}]}),
        ([b"a", b"b"], [b"a", b"b"]),
    ],
)
def test_collate(batch, expected):
    assert listed(data.default_collate(batch)) == expected


@pytest.mark.parametrize(
    ("sample", "dtype"),
    [
        (1, mg.int64),
        (True, mg.bool),
        (1.0, mg.float64),
        (np.float32(1), mg.float32),
        (np.float64(1), mg.float64),
        (np.int16(1), mg.int16),
        (np.zeros(2, np.uint8), mg.uint8),
        (np.array(1.0), mg.float64),
        (mg.tensor([1.0]), mg.float32),
        (mg.tensor(1, dtype=mg.int8), mg.int8),
        (mg.tensor([1.0], dtype=mg.bfloat16), mg.bfloat16),
    ],
)
def test_collated_dtypes_are_those_of_pytorch(sample, dtype):
    batch = data.default_collate([sample, sample])
    assert batch.dtype == dtype
    assert batch.shape == (2, *np.shape(sample))
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if dtype != mg.bfloat16:
        theirs = torch.from_numpy(sample.numpy().copy()) if isinstance(sample, mg.Tensor) else sample
        theirs = torch.utils.data.default_collate([theirs, theirs])
        assert str(theirs.dtype).removeprefix("torch.") == batch.dtype.name


def test_collate_keeps_containers():
    batch = data.default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert isinstance(batch, Point)
    assert listed(list(batch)) == [[1, 3], [2.0, 4.0]]
    ordered = data.default_collate([collections.OrderedDict(b=1, a=2)] * 2)
    assert type(ordered) is collections.OrderedDict
    assert list(ordered) == ["b", "a"]
    assert listed(dict(data.default_collate([types.MappingProxyType({"a": 1})]))) == {"a": [1]}
    samples = [[1, 2], [3, 4]]
    data.default_collate(samples)
    assert samples == [[1, 2], [3, 4]]


def test_collate_keeps_gradients():
    weights = [mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2)]
    (data.default_collate(weights) * mg.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert [w.grad.tolist() for w in weights] == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("batch", "error", "text"),
    [
        ([mg.zeros(2), mg.zeros(3)], RuntimeError, r"found shapes \[\(2,\), \(3,\)\]"),
        ([[1, 2], [3]], RuntimeError, r"lengths \[1, 2\]"),
        ([object()], TypeError, "found object"),
        ([None], TypeError, "found NoneType"),
        ([np.array(["a"])], TypeError, "not supported"),
        ([np.zeros(1, np.uint16)], TypeError, "not supported"),
    ],
)
def test_collate_errors(batch, error, text):
    with pytest.raises(error, match=text):
        data.default_collate(batch)


def test_convert():
    array = np.zeros(2)
    converted = data.default_convert({"a": array, "b": (1, "c"), "p": Point(array, 2)})
    assert converted["a"].array is array
    assert converted["b"] == [1, "c"]
    assert isinstance(converted["p"].x, mg.Tensor)


# The loader ----------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 17),
    st.one_of(st.none(), st.integers(1, 6)),
    st.booleans(),
    st.sampled_from(["samples", "tensors", "subset", "stream"]),
)
def test_the_loader_against_pytorch(n, batch_size, drop_last, kind):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if batch_size is None and drop_last:
        return

    class TorchStream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(n))

    x, y = np.arange(2.0 * n).reshape(n, 2), np.arange(n)
    pairs = {
        "samples": lambda: (Squares(n), Squares(n)),
        "tensors": lambda: (
            data.TensorDataset(wrap(x), wrap(y)),
            torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),
        ),
        "subset": lambda: (
            data.Subset(data.TensorDataset(wrap(x)), list(range(n))[::-2]),
            torch.utils.data.Subset(torch.utils.data.TensorDataset(torch.from_numpy(x)), list(range(n))[::-2]),
        ),
        "stream": lambda: (Stream(n), TorchStream()),
    }
    ours, theirs = pairs[kind]()
    mine = list(data.DataLoader(ours, batch_size, drop_last=drop_last))
    torchs = list(torch.utils.data.DataLoader(theirs, batch_size, drop_last=drop_last))
    assert len(mine) == len(torchs)
    for a, b in zip(mine, torchs, strict=True):
        assert same_batch(a, b)
    if kind != "stream":
        assert len(data.DataLoader(ours, batch_size, drop_last=drop_last)) == len(mine)


def same_batch(ours, theirs):
    if isinstance(ours, mg.Tensor):
        return np.array_equal(ours.numpy(), theirs.numpy()) and ours.dtype == theirs.numpy().dtype
    if isinstance(ours, (list, tuple)):
        return type(ours) is type(theirs) and all(map(same_batch, ours, theirs))
    return ours == theirs


def epoch(loader):
    return list(itertools.chain.from_iterable(batch.tolist() for batch in loader))


def test_shuffling_takes_every_sample_once_and_repeats_with_the_seed():
    loader = data.DataLoader(range(100), batch_size=8, shuffle=True, generator=Generator().manual_seed(5))
    epochs = [epoch(loader) for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(100))
    assert epochs[0] != epochs[1]
    again = data.DataLoader(range(100), batch_size=8, shuffle=True, generator=Generator().manual_seed(5))
    assert epoch(again) == epochs[0]


def test_samplers():
    assert listed(list(data.DataLoader("abcd", sampler=[3, 1], batch_size=2))) == [["d", "b"]]
    assert listed(list(data.DataLoader(range(4), batch_sampler=[[3], [1, 2]]))) == [[3], [1, 2]]
    assert len(data.DataLoader(range(4), batch_sampler=[[3], [1, 2]])) == 2
    assert list(data.DataLoader(range(4), sampler=[2, 0], batch_size=None)) == [2, 0]


def test_collate_fn_gets_the_list_of_samples():
    batches = list(data.DataLoader(data.TensorDataset(mg.arange(3)), batch_size=2, collate_fn=len))
    assert batches == [2, 1]


def test_a_stream_ends_and_starts_again():
    loader = data.DataLoader(Stream(5), batch_size=2)
    assert [listed(list(loader)) for _ in range(2)] == [[[0, 1], [2, 3], [4]]] * 2
    assert listed(list(data.DataLoader(Stream(5), batch_size=2, drop_last=True))) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError):
        len(loader)


def test_two_iterators_at_once():
    loader = data.DataLoader(range(3))
    assert [(a.item(), b.item()) for a in loader for b in loader] == [(i, j) for i in range(3) for j in range(3)]


def test_an_error_in_a_data_set_comes_through_and_the_loader_goes_on():
    loader = iter(data.DataLoader([1, object(), 3]))
    assert next(loader).tolist() == [1]
    with pytest.raises(TypeError):
        next(loader)
    assert next(loader).tolist() == [3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shuffle": True, "sampler": [0]}, "sampler and shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler excludes"),
        ({"batch_size": None, "drop_last": True}, "nothing to drop"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"timeout": -1}, "timeout -1"),
        ({"prefetch_factor": 2}, "expect num_workers > 0"),
        ({"persistent_workers": True}, "expect num_workers > 0"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor is 0"),
    ],
    ids=str,
)
def test_arguments_that_do_not_go_together(arguments, text):
    with pytest.raises(ValueError, match=rf"\[.*\] .*{text}"):
        data.DataLoader(range(3), **arguments)


@pytest.mark.parametrize("arguments", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}], ids=str)
def test_a_stream_has_its_own_order(arguments):
    with pytest.raises(ValueError, match="own order"):
        data.DataLoader(Stream(3), **arguments)


def test_the_arguments_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for name in ("DataLoader", "RandomSampler", "WeightedRandomSampler", "BatchSampler", "Subset"):
        ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (data, torch.utils.data))
        assert list(ours) == list(theirs)
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


# The way without a loop ----------------------------------------------------------------------------------------------


class Watched(data.TensorDataset):
    """A TensorDataset whose single samples must not be asked for."""

    def __getitem__(self, index):
        raise AssertionError("a sample was taken alone")

    def __getbatch__(self, indices):
        return super().__getbatch__(indices)


@pytest.mark.parametrize("wrapped", [lambda d: d, lambda d: data.Subset(data.Subset(d, range(9, -1, -1)), range(10))])
def test_arrays_are_gathered_at_once(wrapped):
    x, y = mg.arange(20.0).reshape(10, 2), mg.arange(10)
    fast = list(data.DataLoader(wrapped(Watched(x, y)), batch_size=4))
    slow = list(
        data.DataLoader(wrapped(data.TensorDataset(x, y)), batch_size=4, collate_fn=lambda b: data.default_collate(b))
    )
    assert listed(fast) == listed(slow)
    assert [type(b) for b in fast] == [type(b) for b in slow] == [list] * 3
    assert [t.dtype for t in fast[0]] == [t.dtype for t in slow[0]]


def test_gathered_batches_do_not_share_memory_and_keep_gradients():
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (batch,) = next(iter(data.DataLoader(data.TensorDataset(x), batch_size=3, sampler=[2, 0, 0])))
    batch.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 1.0]
    plain = mg.arange(3.0)
    (batch,) = next(iter(data.DataLoader(data.TensorDataset(plain), batch_size=3)))
    batch.array[...] = 9
    assert plain.tolist() == [0.0, 1.0, 2.0]


def test_a_subclass_that_overrides_getitem_is_not_passed_by():
    class Doubled(data.TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0] * 2

    assert listed(list(data.DataLoader(Doubled(mg.arange(3)), batch_size=3))) == [[0, 2, 4]]
    assert listed(list(data.DataLoader(data.Subset(Doubled(mg.arange(3)), [2]), batch_size=3))) == [[4]]

    class Shifted(data.Subset):
        def __getitem__(self, index):
            return super().__getitem__(index) + 10

    assert listed(list(data.DataLoader(Shifted(range(3), [0, 2]), batch_size=3))) == [[10, 12]]


def test_getitems_of_pytorch_is_used():
    class Listed(Squares):
        def __getitems__(self, indices):
            return [(i, 0.0) for i in indices]

        def __getitem__(self, index):
            raise AssertionError("a sample was taken alone")

    assert listed(list(data.DataLoader(Listed(3), batch_size=2))) == [[[0, 1], [0.0, 0.0]], [[2], [0.0]]]
    assert gather_samples(data.Subset(Listed(3), [2, 1]), [0, 1]) == [(2, 0.0), (1, 0.0)]


def test_what_cannot_be_gathered_says_so():
    assert gather_batch(Squares(3), [0]) is NotImplemented
    assert gather_batch(data.Subset(Squares(3), [0]), [0]) is NotImplemented


def test_an_index_out_of_range_is_an_error_both_ways():
    for collate_fn in (None, len):
        with pytest.raises(IndexError):
            list(data.DataLoader(data.TensorDataset(mg.arange(3)), sampler=[0, 3], batch_size=2, collate_fn=collate_fn))
