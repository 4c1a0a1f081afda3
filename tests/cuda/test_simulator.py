"""The simulator itself: what CUDA promises holds in every order of threads, and every planted fault is reported."""

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.simulated import empty
from minigrad.cuda import KernelError, simulator

SOURCE = (Path(__file__).parent / "patterns.cu").read_text()
ORDERS = [(order, seed) for order in simulator.ORDERS for seed in ((1, 2) if order == "random" else (0,))]
RUNS = pytest.mark.parametrize("mode, order, seed", [(m, *o) for m in ("fast", "check") for o in ORDERS])
ALL = 0xFFFFFFFF


def there(array):
    """A copy in the simulator's memory."""
    array = np.asarray(array)
    out = empty(array.shape, array.dtype)
    out[...] = array
    return out


def zeros(*shape, dtype=np.float32):
    return there(np.zeros(shape, dtype))


def launch(name, grid, block, *args, mode="check", order="forward", seed=0, **options):
    module = mg.cuda.compile(SOURCE, file="patterns.cu", mode=mode)
    with mg.cuda.simulate(order=order, seed=seed):
        module[name](grid, block, args, **options)


# What must work ------------------------------------------------------------------------------------------------------


@RUNS
def test_lanes_exchange(mode, order, seed):
    x = np.random.default_rng(0).integers(-50, 50, 32).astype(np.int32)
    y, i = zeros(8, 32, dtype=np.int32), np.arange(32)
    launch("exchange", 1, 32, y, there(x), mode=mode, order=order, seed=seed)
    signs = sum(1 << k for k in i if x[k] > 0)
    rest = np.fmod(x, 4)
    expected = [
        x[i * 7 % 32], x[i // 8 * 8 + 3], x[np.where(i % 16 < 2, i, i - 2)], x[np.where(i > 26, i, i + 5)], x[i ^ 9],
        np.full(32, signs), [sum(1 << k for k in i if rest[k] == r) for r in rest],
        np.full(32, x.sum() + x.max() - x.min()),
    ]  # fmt: skip
    np.testing.assert_array_equal(y, np.array(expected).astype(np.uint32).view(np.int32))


@RUNS
def test_lanes_that_left_are_not_waited_for(mode, order, seed):
    y = zeros(32)
    launch("half_warp", 1, 32, y, mode=mode, order=order, seed=seed)
    np.testing.assert_array_equal(y, [0] * 16 + [sum(range(16, 32)) + 2] * 16)


@RUNS
def test_atomics(mode, order, seed):
    y, total, wrapped = zeros(12, dtype=np.int32), zeros(1), zeros(1, dtype=np.uint32)
    y[5] = -1
    launch("count", 3, 40, y, total, wrapped, mode=mode, order=order, seed=seed)
    i = np.arange(120)
    mask = np.bitwise_or.reduce(1 << i % 31)
    expected = [i.sum(), -120, 119, -119, mask, ~mask, np.bitwise_xor.reduce(i), 7, 240, 0, 0, 0]
    np.testing.assert_array_equal(y, expected)
    assert total.item() == 60
    assert wrapped.item() == 120 % 10


@RUNS
def test_blocks_share_memory(mode, order, seed):
    x = np.random.default_rng(1).integers(-5, 5, 250).astype(np.float32)
    y, votes = zeros(3), zeros(3, dtype=np.int32)
    launch("block_sum", 3, 96, y, votes, there(x), 250, mode=mode, order=order, seed=seed)
    parts = [x[:96], x[96:192], x[192:]]
    np.testing.assert_array_equal(y, [p.sum() for p in parts])
    np.testing.assert_array_equal(votes, [10 * (p > 0).sum() + 3 + 3 for p in parts])


@RUNS
def test_dynamic_shared_memory(mode, order, seed):
    x, y = np.arange(70, dtype=np.float32), zeros(70)
    launch("reverse", 1, 70, y, there(x), mode=mode, order=order, seed=seed, shared=280)
    np.testing.assert_array_equal(y, x[::-1])


@RUNS
def test_a_fence_and_an_atomic_order_blocks(mode, order, seed):
    x, total = np.arange(9, dtype=np.float32), zeros(1)
    launch("last_block", 9, 32, total, zeros(9), zeros(1, dtype=np.uint32), there(x), mode=mode, order=order, seed=seed)
    assert total.item() == 36


@RUNS
def test_every_thread_knows_its_place(mode, order, seed):
    y = zeros(2 * 3 * 2, 4 * 2 * 3, 6, dtype=np.int32)
    launch("places", (2, 3, 2), (4, 2, 3), y, mode=mode, order=order, seed=seed)
    blocks = [(x, y, z) for z in range(2) for y in range(3) for x in range(2)]
    threads = [(x, y, z) for z in range(3) for y in range(2) for x in range(4)]
    np.testing.assert_array_equal(y, [[(*b, *t) for t in threads] for b in blocks])


def every_half():
    bits = np.arange(1 << 16, dtype=np.uint16)
    return bits.view(np.float16)


def equal_but_for_nan(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    bits = np.dtype(f"u{expected.itemsize}")
    np.testing.assert_array_equal(found[numbers].view(bits), expected[numbers].view(bits))


def test_halves_round_once():
    """Against numpy, whose float64 holds every sum and product of halves, and what is behind their last digit."""
    rng = np.random.default_rng(2)
    a, n = every_half(), 1 << 16
    b, c = rng.permutation(a), rng.permutation(a)
    between = (a.view(np.uint16).astype(np.uint32) << 13) + rng.integers(0, 8192, n).astype(np.uint32)
    with np.errstate(all="ignore"):
        ties = np.nextafter(a, np.float16(np.inf)).astype(np.float32) / 2 + a.astype(np.float32) / 2
        p, q, r = (v.astype(np.float64) for v in (a, b, c))
        expected = [v.astype(np.float16) for v in (p + q, p - q, p * q, (a.astype("f4") / b.astype("f4")))]
        expected.append(exact_fma(p, q, r))
        between = between.view(np.float32) * np.float32(2.0**112)
    for x in (between, ties, rng.normal(size=n).astype(np.float32) * np.float32(2e-5)):
        y, wide = empty((6, n), np.float16), empty((n,), np.float32)
        launch("halves", n // 256, 256, y, wide, *map(there, (a, b, c, x)), n, mode="fast")
        with np.errstate(all="ignore"):
            rounded = x.astype(np.float16)
        equal_but_for_nan(np.asarray(wide), a.astype(np.float32))
        for found, right in zip(y, [*expected, rounded], strict=True):
            equal_but_for_nan(np.asarray(found), right)


def exact_fma(a, b, c):
    """a b + c rounded once: a long double has 64 digits, and where those do not suffice a fraction decides."""
    from fractions import Fraction

    wide = (a * b).astype(np.longdouble) + c
    result = wide.astype(np.float64).astype(np.float16)
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    tied = finite & ((wide.astype(np.float64).view(np.uint64) & ((1 << 41) - 1)) == 0)
    for i in np.flatnonzero(tied):
        exact = Fraction(a[i] * b[i]) + Fraction(c[i])
        near = np.float16(float(exact))
        around = [np.nextafter(near, np.float16(-np.inf)), near, np.nextafter(near, np.float16(np.inf))]
        around = [h for h in around if np.isfinite(h)]
        best = min(around, key=lambda h: (abs(Fraction(float(h)) - exact), int(h.view(np.uint16)) & 1))
        if np.isfinite(near) and exact != 0:
            result[i] = best
    return result


def test_brain_floats_round_to_nearest_even():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 1 << 32, 1 << 14, dtype=np.uint64).astype(np.uint32)
    x[::4] = x[::4] & 0xFFFF0000 | 0x8000  # ties
    x = x.view(np.float32)
    y, back = empty(x.shape, ml_dtypes.bfloat16), empty(x.shape, np.float32)
    launch("brain_floats", 64, 256, y, back, there(x), x.size, mode="fast")
    with np.errstate(all="ignore"):
        expected = x.astype(ml_dtypes.bfloat16)
        equal_but_for_nan(np.asarray(y), expected)
        equal_but_for_nan(np.asarray(back), expected.astype(np.float32))


# What must be reported -----------------------------------------------------------------------------------------------

FAULTS = {  # kernel: kind, words of the message
    "read_behind": ("out of bounds", "read of 4 bytes, 0 bytes past the end of global `x` of 256 bytes"),
    "write_before": ("out of bounds", "write of 4 bytes, 4 bytes before global `y`"),
    "write_to_input": ("read-only", "`x`, an argument that points to const"),
    "misaligned": ("misaligned", "alignment of 16 bytes"),
    "zero_divisor": ("division by zero", "division by zero"),
    "past_the_row": ("out of bounds", "index 16 out of bounds of 'float [16]'"),
    "past_the_array": ("out of bounds", "0 bytes past the end of shared `tile` of 256 bytes"),
    "never_written": ("uninitialised", "read of uninitialised shared `tile` + 252 bytes"),
    "no_barrier": ("race", "no __syncthreads between them"),
    "no_warp_barrier": ("race", "no __syncwarp or __syncthreads between them"),
    "no_atomic": ("race", "another block's thread (0,0,0)"),
    "half_atomic": ("race", "atomic write by thread (0,0,0)"),
    "no_fence": ("race", "blocks run in any order"),
    "barrier_in_branch": ("divergent barrier", "must reach the same one"),
    "shuffle_in_branch": ("deadlock", "32 thread(s), (0,0,0) for one, wait at __shfl_xor_sync()"),
    "from_a_lane_that_left": ("undefined lane", "lane 0 reads lane 16"),
    "not_in_the_mask": ("bad mask", "lane 16 is not in its own mask 0000ffff"),
    "another_stack": ("local memory", "another thread's local memory"),
    "asserts": ("trap", "assert(threadIdx.x < 50) failed"),
    "no_dynamic_shared": ("trap", "without dynamic shared memory"),
    "too_much_shared": ("limit", "shared `tile` of 49156 bytes"),
}


def line_of_fault(kernel):
    """The line in the kernel that is marked as the faulty one."""
    begin = SOURCE.index(f" {kernel}(")
    return SOURCE[: SOURCE.index("// here", begin)].count("\n") + 1


@pytest.mark.parametrize("kernel", FAULTS)
def test_a_fault_is_reported_with_its_line(kernel):
    kind, words = FAULTS[kernel]
    with pytest.raises(KernelError, match=re.escape(words)) as caught:
        launch(kernel, 2, 64, zeros(64), there(np.arange(64, dtype=np.float32)))
    error = caught.value
    assert (error.kernel, error.kind, error.file) == (kernel, kind, "patterns.cu")
    assert error.line == line_of_fault(kernel)
    assert f"patterns.cu:{error.line}" in str(error)
    assert len(error.block) == len(error.thread) == 3


def test_the_thread_of_a_fault_is_named():
    with pytest.raises(KernelError, match=re.escape("in block (0,0,0) thread (63,0,0)")) as caught:
        launch("read_behind", 2, 64, zeros(64), zeros(64))
    assert (caught.value.block, caught.value.thread) == ((0, 0, 0), (63, 0, 0))


def test_null_pointers_are_reported():
    with pytest.raises(KernelError, match=r"null or wild pointer|null address") as caught:
        launch("null_pointer", 2, 64, zeros(64), None)
    assert caught.value.line == line_of_fault("null_pointer")


def test_dynamic_shared_memory_that_is_too_short():
    with pytest.raises(KernelError, match="past the end of shared `dynamic shared memory` of 252 bytes") as caught:
        launch("short_shared", 2, 64, zeros(64), zeros(64), shared=252)
    assert caught.value.line == line_of_fault("short_shared")


@pytest.mark.parametrize("kernel", ["write_before"])
def test_the_fast_mode_finds_writes_beyond_the_end(kernel):
    with pytest.raises(KernelError, match="wrote outside of `y`"):
        launch(kernel, 2, 64, zeros(64), zeros(64), mode="fast")


@pytest.mark.parametrize("kernel", ["barrier_in_branch", "shuffle_in_branch", "from_a_lane_that_left", "asserts"])
@pytest.mark.parametrize("order", simulator.ORDERS)
def test_the_fast_mode_finds_what_hangs(kernel, order):
    with pytest.raises(KernelError) as caught:
        launch(kernel, 2, 64, zeros(64), zeros(64), mode="fast", order=order)
    assert caught.value.kind == FAULTS[kernel][0]


def test_a_fault_leaves_the_simulator_usable():
    for _ in range(40):  # 64 stacks each, of 1024
        with pytest.raises(KernelError):
            launch("barrier_in_branch", 2, 64, zeros(64), zeros(64))
    test_blocks_share_memory("check", "forward", 0)


@pytest.mark.parametrize(
    "kernel, grid, block, options, words",
    [
        ("no_atomic", 1, 1025, {}, "block of (1025,1,1) threads, expected 1 to 1024"),
        ("no_atomic", 1, (1, 1, 65), {}, "at most 64 in z"),
        ("no_atomic", 1, 0, {}, "block of (0,1,1) threads"),
        ("bounded", 1, 33, {}, "expected 1 to 32"),
        ("no_atomic", 0, 32, {}, "grid of (0,1,1) blocks"),
        ("no_atomic", (1, 65536), 32, {}, "grid of (1,65536,1) blocks"),
        ("reverse", 1, 32, {"shared": 49153}, "at most 49152 were expected"),
        ("reverse", 1, 32, {"shared": 65536, "max_shared": 65535}, "at most 65535 were expected"),
    ],
)
def test_the_limits_of_a_gpu(kernel, grid, block, options, words):
    with pytest.raises(KernelError, match=re.escape(words)) as caught:
        launch(kernel, grid, block, zeros(64), zeros(64), **options)
    assert caught.value.kind == "limit"


def test_more_shared_memory_for_those_who_ask():
    y = zeros(64)
    launch("reverse", 1, 64, y, there(np.arange(64, dtype=np.float32)), shared=60000, max_shared=65536)
    assert y[0] == 63
