"""random: one counter-based stream for every backend.

Philox4x32-10 turns (seed, counter) into four random words; element i of a fill uses word i % 4 of counter
offset + i // 4. So any part of the stream can be computed anywhere, by any number of threads, and a mask can be made
again instead of being stored. A Generator is just a seed and the next free counter. Kernels: csrc/cpu/random.cpp.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import math
import os

import numpy as np

from minigrad import recording
from minigrad.backend.array import array_module, empty
from minigrad.dtypes import bfloat16, float16, float32
from minigrad.kernel import kernel

_BITS = {float16: 11, bfloat16: 8}  # digits of a number in [0.5, 1)
_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85


def philox(n, seed, offset, xp=np):
    """`n` random 32-bit words (as uint64) of the stream of `seed` from counter `offset` on; an array of `xp`."""
    counter = xp.arange(offset, offset + (n + 3) // 4, dtype=np.uint64)
    c0, c1 = counter & _MASK, counter >> np.uint64(32)
    c2 = c3 = np.zeros_like(counter)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & _MASK,
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return xp.stack([c0, c1, c2, c3], 1).reshape(-1)[:n]


def uniform_bits(n, seed, offset, xp=np):
    """`n` multiples of 2^-24 in [0, 1), as float64."""
    return (philox(n, seed, offset, xp) >> np.uint64(8)).astype(np.float64) * 2.0**-24


@kernel()
def uniform_fill(y, seed, offset):
    y[...] = uniform_bits(y.size, seed, offset, array_module(y)).reshape(y.shape)


@kernel()
def normal_fill(y, seed, offset):
    """Box-Muller on the words of one counter: (0, 1) and (2, 3) make two normals each."""
    xp = array_module(y)
    pairs = uniform_bits(4 * ((y.size + 3) // 4), seed, offset, xp).reshape(-1, 2)
    radius, angle = xp.sqrt(-2 * xp.log(pairs[:, 0] + 2.0**-24)), 2 * math.pi * pairs[:, 1]
    y[...] = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], 1).reshape(-1)[: y.size].reshape(y.shape)


class Generator:
    """A random stream: a seed and how far it has been used.

    >>> import minigrad as mg
    >>> g = mg.Generator().manual_seed(1)
    >>> state = g.get_state()
    >>> a = mg.rand(3, generator=g)
    >>> g.set_state(state)
    >>> bool((mg.rand(3, generator=g) == a).all())
    True
    """

    def __init__(self, device="cpu"):
        self.device, self._seed, self.offset = device, 0, 0

    def manual_seed(self, seed):
        """Start the stream of `seed` (an int; its low 63 bits count) and return the generator."""
        if not isinstance(seed, (int, np.integer)):
            raise TypeError(f"[manual_seed] expected an int, found {type(seed).__name__}")
        self._seed, self.offset = int(seed) & (2**63 - 1), 0
        return self

    def seed(self):
        """Start a stream that nobody can foresee, and return its seed."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1).initial_seed()

    def initial_seed(self):
        return self._seed

    def get_state(self):
        """The state as an int64 array (seed, offset), to be saved with a checkpoint."""
        return np.array([self._seed, self.offset], np.int64)

    def set_state(self, state):
        """Go to a state that `get_state` gave. Errors: ValueError for anything else."""
        state = np.asarray(getattr(state, "array", state))
        if state.shape != (2,) or state.dtype != np.int64 or (state < 0).any():
            raise ValueError(f"[set_state] expected two non-negative int64 numbers, found {state!r}")
        self._seed, self.offset = int(state[0]), int(state[1])

    def claim(self, n):
        """(seed, offset) of the next `n` elements, which are then used up."""
        offset = recording.live(lambda: self._advance((n + 3) // 4))
        return recording.live(lambda: self._seed), offset

    def _advance(self, steps):
        start, self.offset = self.offset, self.offset + steps
        return start

    def uniform(self, shape, dtype=float32):
        """An array of uniform numbers in [0, 1)."""
        out = empty(tuple(shape), float32 if dtype in _BITS else dtype)
        uniform_fill(out, *self.claim(out.size))
        if dtype not in _BITS:
            return out
        steps = 2.0 ** _BITS[dtype]  # cut to the digits that a half has: rounding would give 1 now and then
        return (np.floor(out * steps) / steps).astype(dtype)

    def normal(self, shape, dtype=float32):
        """An array of normal numbers, mean 0, standard deviation 1."""
        out = empty(tuple(shape), dtype)
        normal_fill(out, *self.claim(out.size))
        return out

    def integers(self, low, high, shape):
        """An int64 array of integers in [low, high), from 64 bits each (the bias is below (high - low) / 2^64)."""
        n = math.prod(shape)
        words = philox(2 * n, *self.claim(2 * n)).reshape(-1, 2)
        bits = (words[:, 0] << np.uint64(32)) | words[:, 1]
        return (low + (bits % np.uint64(high - low)).astype(np.int64)).reshape(shape)

    def permutation(self, n):
        """0 to n - 1 in random order, as an int64 array."""
        words = philox(2 * n, *self.claim(2 * n)).reshape(-1, 2)
        return np.argsort((words[:, 0] << np.uint64(32)) | words[:, 1], kind="stable").astype(np.int64)


default_generator = Generator()
default_generator.seed()


def manual_seed(seed):
    """Seed the default generator, from which all random ops draw, and return it.

    >>> import minigrad as mg
    >>> a = mg.manual_seed(0) and mg.rand(2)
    >>> b = mg.manual_seed(0) and mg.rand(2)
    >>> bool((a == b).all())
    True
    """
    return default_generator.manual_seed(seed)


def seed():
    """Seed the default generator unpredictably, and return the seed."""
    return default_generator.seed()


def initial_seed():
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state():
    """The state of the default generator as an int64 array."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Put the default generator into a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)
