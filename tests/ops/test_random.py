"""Random tensors: what is drawn, that seeds and states give it again, and the stream against published numbers."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.kernel import KERNELS
from minigrad.ops import random
from minigrad.random import philox

N = 100_000


def test_philox_is_philox():
    """The published answer for counter 0 and key 0 (Random123, kat_vectors); and a stream is its parts."""
    assert philox(4, 0, 0).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    np.testing.assert_array_equal(philox(12, 5, 3), np.concatenate([philox(4, 5, 3 + i) for i in range(3)]))


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 1001, N])
@pytest.mark.parametrize("kernel", ["uniform_fill", "normal_fill"])
def test_native_fills_are_the_reference(kernel, n):
    for seed, offset in ((0, 0), (2**63 - 1, 7), (12345, 2**40)):
        found, expected = np.empty(n, np.float32), np.empty(n, np.float32)
        cpu.kernels()[kernel](found, seed, offset)
        KERNELS[kernel].reference(expected, seed, offset)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6 if kernel == "normal_fill" else 0)


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
@pytest.mark.parametrize("kernel", ["uniform_fill", "normal_fill"])
def test_fills_do_not_depend_on_the_threads(kernel):
    before, bits = cpu.get_num_threads(), set()
    for threads in (1, 2, 4):
        cpu.set_num_threads(threads)
        out = np.empty(1_000_003, np.float32)
        cpu.kernels()[kernel](out, 3, 1)
        bits.add(out.tobytes())
    cpu.set_num_threads(before)
    assert len(bits) == 1


# What is drawn -------------------------------------------------------------------------------------------------------

DRAWS = {  # function, expected mean, standard deviation, smallest and largest possible
    "rand": (lambda **o: mg.rand(N, **o), 0.5, 12**-0.5, 0, 1),
    "randn": (lambda **o: mg.randn(N, **o), 0, 1, -8, 8),
    "rand_like": (lambda **o: mg.rand_like(mg.ones(N), **o), 0.5, 12**-0.5, 0, 1),
    "randn_like": (lambda **o: mg.randn_like(mg.ones(N), **o), 0, 1, -8, 8),
    "randint": (lambda **o: mg.randint(-3, 7, (N,), **o), 1.5, (99 / 12) ** 0.5, -3, 6),
    "randint_like": (lambda **o: mg.randint_like(mg.zeros(N), 10, **o), 4.5, (99 / 12) ** 0.5, 0, 9),
    "normal": (lambda **o: mg.normal(5.0, 2.0, (N,), **o), 5, 2, -11, 21),
    "bernoulli": (lambda **o: mg.bernoulli(mg.full((N,), 0.3), **o), 0.3, 0.21**0.5, 0, 1),
    "uniform_": (lambda **o: mg.zeros(N).uniform_(-1, 3, **o), 1, 4 * 12**-0.5, -1, 3),
    "normal_": (lambda **o: mg.zeros(N).normal_(1, 3, **o), 1, 3, -23, 25),
    "bernoulli_": (lambda **o: mg.zeros(N).bernoulli_(0.7, **o), 0.7, 0.21**0.5, 0, 1),
}


@pytest.mark.parametrize("name", DRAWS)
def test_moments(name):
    draw, mean, std, low, high = DRAWS[name]
    x = draw().numpy().astype(np.float64)
    assert abs(x.mean() - mean) < 5 * std / N**0.5
    assert abs(x.std() - std) < 0.02 * std
    assert low <= x.min() < x.max() <= high
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / N**0.5


@pytest.mark.parametrize("name", DRAWS)
def test_seeds_and_generators(name):
    draw = DRAWS[name][0]
    first, second = draw(), draw()
    assert not first.equal(second)
    mg.manual_seed(0)
    assert draw().equal(first)
    assert draw().equal(second)
    g = mg.Generator().manual_seed(0)
    assert draw(generator=g).equal(first)
    assert not draw(generator=mg.Generator().manual_seed(1)).equal(first)


def test_a_state_continues_the_stream():
    mg.rand(5)
    state = mg.get_rng_state()
    after = [mg.rand(3), mg.randn(2), mg.randperm(4)]
    mg.set_rng_state(state)
    for expected, found in zip(after, [mg.rand(3), mg.randn(2), mg.randperm(4)], strict=True):
        assert found.equal(expected)
    for wrong in (np.zeros(3, np.int64), np.zeros(2), np.array([-1, 0])):
        with pytest.raises(ValueError, match=r"\[set_state\] expected two non-negative int64 numbers"):
            mg.set_rng_state(wrong)


def test_randperm():
    x = mg.randperm(1000)
    assert x.dtype is mg.int64
    assert sorted(x.tolist()) == list(range(1000))
    assert x.tolist() != list(range(1000))
    assert mg.randperm(0).shape == (0,)
    places = np.stack([mg.randperm(5).numpy() for _ in range(2000)])
    assert np.abs((places[:, :, None] == np.arange(5)).mean(0) - 0.2).max() < 0.05


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16, mg.float32, mg.float64], ids=str)
def test_uniform_numbers_stay_below_1(dtype):
    x = mg.rand(N, dtype=dtype)
    assert x.dtype is dtype
    assert 0 <= x.min().item() < x.max().item() < 1
    assert abs(x.double().mean().item() - 0.5) < 0.01


def test_normals_of_tensors():
    mean, std = mg.tensor([0.0, 100.0]), mg.tensor([[0.0], [1.0]])
    x = mg.normal(mean, std)
    assert (x.shape, x[0].tolist()) == ((2, 2), [0.0, 100.0])
    assert mg.normal(mean).shape == mg.normal(0.0, mean).shape == (2,)


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64, mg.float16, mg.bfloat16])
@pytest.mark.parametrize("shape", [(random.PIECE + 5,), (3, random.PIECE - 1)])
def test_fills_by_pieces_take_the_stream_as_one_draw_would(shape, dtype):
    g, h = (mg.Generator().manual_seed(3) for _ in range(2))
    for draw, fill in (("normal", "normal_"), ("uniform", "uniform_")):
        x = getattr(mg.zeros(shape, dtype=dtype), fill)(-0.5, 2.0, generator=g)
        scale = 2.5 if draw == "uniform" else 2.0
        expected = (getattr(h, draw)(shape, dtype) * scale + -0.5).astype(dtype)
        assert x.array.tobytes() == expected.tobytes()
    assert g.get_state().tolist() == h.get_state().tolist()


def test_the_tails_of_the_normal_are_there():
    x = np.abs(mg.randn(1_000_000).numpy())
    for bound in (1, 2, 3, 4):
        expected = math.erfc(bound / 2**0.5)
        assert abs((x > bound).mean() - expected) < 5 * (expected / 1e6) ** 0.5


WRONG = [
    (lambda: mg.rand(2, dtype=mg.int64), RuntimeError, r"\[rand\] only floating dtypes can be drawn, found int64"),
    (lambda: mg.randint(3, 3, (1,)), RuntimeError, r"\[randint\] low must be below high, found 3 and 3"),
    (lambda: mg.randint(3), TypeError, r"\[randint\] expected \(high, size\) or \(low, high, size\)"),
    (lambda: mg.normal(0.0, 1.0), TypeError, r"\[normal\] size is missing"),
    (lambda: mg.bernoulli(mg.tensor([1.5])), RuntimeError, r"\[bernoulli\] probabilities must lie in \[0, 1\]"),
    (lambda: mg.zeros(1).bernoulli_(-0.1), RuntimeError, r"\[bernoulli_\] p must lie in \[0, 1\], found -0.1"),
    (lambda: mg.zeros(1).uniform_(1, 0), RuntimeError, r"\[uniform_\] expected from <= to, found 1 and 0"),
    (lambda: mg.zeros(1).normal_(0, -1), RuntimeError, r"\[normal_\] std must not be negative, found -1"),
    (lambda: mg.tensor([1]).normal_(), RuntimeError, r"\[normal_\] only floating dtypes can be drawn, found int64"),
    (lambda: mg.ones(1, requires_grad=True).normal_(), RuntimeError, r"\[normal_\] a leaf that requires a gradient"),
    (lambda: mg.manual_seed(1.5), TypeError, r"\[manual_seed\] expected an int, found float"),
    (lambda: mg.zeros(1).uniform_(0, 1, too=2), TypeError, r"\[uniform_\] unexpected arguments \['too'\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_seed_is_unforeseeable_and_known_afterwards():
    first, second = mg.seed(), mg.seed()
    assert first != second == mg.initial_seed()


def test_randint_forms():
    assert mg.randint(5, (2, 3)).shape == mg.randint(0, 5, (2, 3)).shape == mg.randint(high=5, low=0, size=(2, 3)).shape
    assert mg.randint(0, 2, (3,), dtype=mg.int8).dtype is mg.int8
    assert mg.randint(-(2**62), 2**62, (4,)).abs().max().item() > 2**40
