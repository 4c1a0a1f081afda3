"""utils.data: data sets and samplers."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.random import Generator
from minigrad.utils import data


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


# Data sets -----------------------------------------------------------------------------------------------------------


def test_tensor_dataset():
    x, y = mg.arange(6.0).reshape(3, 2), mg.arange(3)
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3
    assert listed(dataset[1]) == ([2.0, 3.0], 1)
    assert listed(dataset[-1]) == ([4.0, 5.0], 2)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"\[TensorDataset\] found lengths \[3, 4\]"):
        data.TensorDataset(mg.arange(3), mg.arange(4))
    with pytest.raises(ValueError, match=r"\[StackDataset\] found lengths \[3, 4\]"):
        data.StackDataset(range(3), range(4))
    with pytest.raises(ValueError, match="either by position or by name"):
        data.StackDataset(range(3), a=range(3))


def test_stack_dataset():
    assert data.StackDataset(range(3), "abc")[1] == (1, "b")
    assert data.StackDataset(n=range(3), s="abc")[2] == {"n": 2, "s": "c"}
    assert len(data.StackDataset("abc")) == 3


def test_the_base_classes_do_nothing():
    with pytest.raises(NotImplementedError):
        data.Dataset()[0]
    with pytest.raises(NotImplementedError):
        iter(data.IterableDataset())
    with pytest.raises(NotImplementedError):
        iter(data.Sampler())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_concatenation(sizes, draw):
    parts = [[(i, j) for j in range(n)] for i, n in enumerate(sizes)]
    whole, dataset = list(itertools.chain(*parts)), data.ConcatDataset(parts)
    index = draw.draw(st.integers(-len(whole), len(whole) - 1))
    assert len(dataset) == len(whole)
    assert dataset[index] == whole[index]
    with pytest.raises(IndexError, match="out of range"):
        dataset[len(whole)]
    with pytest.raises(IndexError, match="out of range"):
        dataset[-len(whole) - 1]


def test_an_empty_part_is_stepped_over():
    assert [data.ConcatDataset([[], [1], [], [2]])[i] for i in range(2)] == [1, 2]


def test_sums():
    assert [(Squares(2) + Squares(1))[i][0] for i in range(3)] == [0, 1, 0]
    assert list(Stream(2) + Stream(1)) == [0, 1, 0]
    with pytest.raises(ValueError, match="none of them an IterableDataset"):
        data.ConcatDataset([Stream(1)])


def test_subset_of_subset():
    subset = data.Subset(data.Subset("abcdef", [5, 3, 1]), [2, 0])
    assert [subset[i] for i in range(len(subset))] == ["b", "f"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_random_split_is_a_partition(lengths, seed):
    total = sum(lengths)
    if total == 1:  # 1 is read as a fraction, as in PyTorch, with a warning if some part gets nothing
        return
    parts = data.random_split(range(total), lengths, Generator().manual_seed(seed))
    assert [len(p) for p in parts] == lengths
    assert sorted(i for part in parts for i in part.indices) == list(range(total))
    again = data.random_split(range(total), lengths, Generator().manual_seed(seed))
    assert [p.indices for p in parts] == [p.indices for p in again]


@pytest.mark.parametrize(
    ("total", "fractions", "sizes"),
    [
        (10, [0.3, 0.3, 0.4], [3, 3, 4]),
        (10, [0.25, 0.25, 0.5], [3, 2, 5]),
        (11, [1 / 3] * 3, [4, 4, 3]),
        (7, [1.0], [7]),
    ],
)
def test_random_split_by_fractions(total, fractions, sizes):
    assert [len(p) for p in data.random_split(range(total), fractions)] == sizes


def test_random_split_errors():
    with pytest.raises(ValueError, match=r"found lengths \[3, 4\], expected a sum of 10"):
        data.random_split(range(10), [3, 4])
    with pytest.raises(ValueError, match="each within 0 and 1"):
        data.random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="is empty"):
        data.random_split(range(1), [0.5, 0.5])


# Samplers ------------------------------------------------------------------------------------------------------------


def test_sequential():
    assert list(data.SequentialSampler("abc")) == [0, 1, 2]
    assert len(data.SequentialSampler("abc")) == 3


@given(st.integers(1, 20), st.integers(1, 50), st.integers(0, 99))
def test_random_order(n, num_samples, seed):
    order = list(data.RandomSampler(range(n), num_samples=num_samples, generator=Generator().manual_seed(seed)))
    assert len(order) == num_samples
    for start in range(0, num_samples - n + 1, n):
        assert sorted(order[start : start + n]) == list(range(n))
    assert order == list(data.RandomSampler(range(n), num_samples=num_samples, generator=Generator().manual_seed(seed)))


def test_each_epoch_has_its_own_order_and_the_seed_repeats_all():
    sampler = data.RandomSampler(range(50))
    mg.manual_seed(3)
    epochs = [list(sampler) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    mg.manual_seed(3)
    assert [list(sampler) for _ in range(3)] == epochs


def test_random_with_replacement():
    mg.manual_seed(0)
    drawn = list(data.RandomSampler(range(10), replacement=True, num_samples=5000))
    assert set(drawn) == set(range(10))
    assert np.bincount(drawn).min() > 400  # 500 expected, standard deviation 21


def test_subset_random():
    assert sorted(data.SubsetRandomSampler([5, 2, 9])) == [2, 5, 9]
    assert len(data.SubsetRandomSampler([5, 2, 9])) == 3


def test_weights_with_replacement():
    mg.manual_seed(0)
    drawn = list(data.WeightedRandomSampler([0.0, 1.0, 0.0, 3.0, 0.0], 8000))
    counts = np.bincount(drawn, minlength=5)
    assert counts.tolist() == [0, counts[1], 0, 8000 - counts[1], 0]
    assert abs(counts[1] - 2000) < 200  # standard deviation 39


def test_weights_without_replacement():
    mg.manual_seed(0)
    sampler = data.WeightedRandomSampler([1.0, 0.0, 2.0, 1.0], 2, replacement=False)
    pairs = collections.Counter(tuple(sampler) for _ in range(4000))
    expected = {(0, 2): 1 / 6, (0, 3): 1 / 12, (2, 0): 1 / 4, (2, 3): 1 / 4, (3, 0): 1 / 12, (3, 2): 1 / 6}
    assert set(pairs) == set(expected)
    for pair, p in expected.items():
        assert abs(pairs[pair] / 4000 - p) < 0.035  # five standard deviations


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: data.RandomSampler([]), ValueError, "num_samples is 0"),
        (lambda: data.RandomSampler("ab", replacement=1), TypeError, "expected a bool"),
        (lambda: data.WeightedRandomSampler([1.0], True), ValueError, "num_samples is True"),
        (lambda: data.WeightedRandomSampler([1.0], 1, replacement=0), ValueError, "expected a bool"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError, "expected a row"),
        (lambda: data.WeightedRandomSampler([1.0, float("nan")], 1), ValueError, "finite"),
        (lambda: data.WeightedRandomSampler([-1.0], 1), ValueError, ">= 0"),
        (lambda: data.WeightedRandomSampler([0.0], 1), ValueError, "found 0 weights above 0"),
        (lambda: data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False), ValueError, "expected at least 2"),
        (lambda: data.BatchSampler("ab", 0, False), ValueError, "batch_size is 0"),
        (lambda: data.BatchSampler("ab", 1.5, False), ValueError, "batch_size is 1.5"),
        (lambda: data.BatchSampler("ab", 1, 1), ValueError, "drop_last is 1"),
    ],
)
def test_sampler_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


@given(st.integers(0, 20), st.integers(1, 7), st.booleans())
def test_batches_of_indices(n, batch_size, drop_last):
    sampler = data.BatchSampler(range(n), batch_size, drop_last)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    kept = n - n % batch_size if drop_last else n
    assert list(itertools.chain(*batches)) == list(range(kept))
    assert all(len(b) == batch_size for b in batches[:-1])
