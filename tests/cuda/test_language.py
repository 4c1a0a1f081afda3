"""The simulator's CUDA, function by function: exchanges and votes of every kind, atomics of every type, two-byte
floats, printf; and kernels that do not end."""

import os
import signal
import threading

import ml_dtypes
import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.simulated import empty
from minigrad.cuda import KernelError
from tests.cuda.test_simulator import there, zeros

ALL = 0xFFFFFFFF
RUNS = [("fast", "forward"), ("fast", "random"), ("check", "reverse")]
LANES = np.arange(32)

SHUFFLES = """
// y (4, 6, 33, 32): the operation, log2 of the width, its argument, the lane
#define SHUFFLES(NAME, T)                                                                  \\
  extern "C" __global__ void NAME(T* y, const T* x) {                                      \\
    const T v = x[threadIdx.x];                                                            \\
    for (int w = 0; w < 6; ++w)                                                            \\
      for (int d = 0; d < 33; ++d) {                                                       \\
        T* to = y + (w * 33 + d) * 32 + threadIdx.x;                                       \\
        to[0] = __shfl_sync(0xffffffffu, v, d, 1 << w);                                    \\
        to[6 * 33 * 32] = __shfl_up_sync(0xffffffffu, v, d, 1 << w);                       \\
        to[2 * 6 * 33 * 32] = __shfl_down_sync(0xffffffffu, v, d, 1 << w);                 \\
        to[3 * 6 * 33 * 32] = __shfl_xor_sync(0xffffffffu, v, d, 1 << w);                  \\
      }                                                                                    \\
  }
#include <cuda_fp16.h>
SHUFFLES(of_int, int)
SHUFFLES(of_unsigned, unsigned)
SHUFFLES(of_long, long long)
SHUFFLES(of_float, float)
SHUFFLES(of_double, double)
SHUFFLES(of_half, __half)
"""
SHUFFLED = {"of_int": "i4", "of_unsigned": "u4", "of_long": "i8", "of_float": "f4", "of_double": "f8", "of_half": "f2"}


def source_lanes():
    """(4, 6, 33, 32): the lane that each lane reads, by the words of CUDA's guide."""
    width, d = 2 ** np.arange(6)[:, None, None], np.arange(33)[:, None]
    begin = LANES // width * width
    end = begin + width
    up, down, crossed = LANES - d, LANES + d, LANES ^ d
    return np.stack(np.broadcast_arrays(
        begin + d % width, np.where(up < begin, LANES, up), np.where(down >= end, LANES, down),
        np.where(crossed >= end, LANES, crossed),
    ))  # fmt: skip


@pytest.mark.parametrize("kernel", SHUFFLED)
def test_shuffles_of_every_type_width_and_distance(kernel):
    x = np.random.default_rng(0).integers(0, 2**15, 32).astype(SHUFFLED[kernel])
    y = empty((4, 6, 33, 32), x.dtype)
    mg.cuda.compile(SHUFFLES, mode="fast")[kernel](1, 32, (y, there(x)))
    np.testing.assert_array_equal(y, x[source_lanes()])


VOTES = """
// y (7, 32): the lower half of the warp and the upper each vote for themselves
extern "C" __global__ void votes(unsigned* y, const int* x) {
  const int i = threadIdx.x, v = x[i];
  const unsigned u = static_cast<unsigned>(v + 50);
  if (i < 16) {
    const unsigned mask = 0xffffu;
    y[i] = __ballot_sync(mask, v > 0), y[32 + i] = __any_sync(mask, v > 40), y[64 + i] = __all_sync(mask, v > -40);
    y[96 + i] = __match_any_sync(mask, v % 3), y[128 + i] = __reduce_add_sync(mask, u);
    y[160 + i] = __reduce_min_sync(mask, u), y[192 + i] = __reduce_max_sync(mask, u);
  } else {
    const unsigned mask = 0xffff0000u;
    y[i] = __ballot_sync(mask, v > 0), y[32 + i] = __any_sync(mask, v > 40), y[64 + i] = __all_sync(mask, v > -40);
    y[96 + i] = __match_any_sync(mask, v % 3), y[128 + i] = __reduce_add_sync(mask, u);
    y[160 + i] = __reduce_min_sync(mask, u), y[192 + i] = __reduce_max_sync(mask, u);
  }
}
"""


def bits(lanes):
    return sum(1 << int(lane) for lane in lanes)


@pytest.mark.parametrize("mode, order", RUNS)
@pytest.mark.parametrize("seed", range(3))
def test_halves_of_a_warp_vote_for_themselves(mode, order, seed):
    x = np.random.default_rng(seed).integers(-45, 45, 32).astype(np.int32)
    y, expected = zeros(7, 32, dtype=np.uint32), np.empty((7, 32), np.uint32)
    for half in (LANES[:16], LANES[16:]):
        v, rest = x[half], np.fmod(x, 3)
        whole = [bits(half[v > 0]), (v > 40).any(), (v > -40).all()]
        expected[:, half] = np.array([
            *[[w] * 16 for w in whole], [bits(half[rest[half] == rest[i]]) for i in half],
            *[[w] * 16 for w in ((v + 50).sum(), v.min() + 50, v.max() + 50)],
        ])  # fmt: skip
    with mg.cuda.simulate(order=order, seed=seed):
        mg.cuda.compile(VOTES, mode=mode)(1, 32, (y, there(x)))
    np.testing.assert_array_equal(y, expected)


ATOMICS = """
#include <cuda_fp16.h>
#define SUM(NAME, T)                                                             \\
  extern "C" __global__ void sum_##NAME(T* y, T* before) {                       \\
    const int i = blockIdx.x * blockDim.x + threadIdx.x;                         \\
    before[i] = atomicAdd(&y[0], static_cast<T>(1));                             \\
    const T seen = atomicExch(&y[1], static_cast<T>(i + 1));                     \\
    atomicAdd(&y[2], seen);                                                      \\
  }
#define WHOLE(NAME, T)                                                           \\
  extern "C" __global__ void whole_##NAME(T* y, unsigned* rounds) {              \\
    const T i = blockIdx.x * blockDim.x + threadIdx.x;                           \\
    const T shift = static_cast<T>(1) << (i % (8 * sizeof(T) - 1));              \\
    atomicSub(&y[0], i), atomicMin(&y[1], i), atomicMax(&y[2], i);               \\
    atomicAnd(&y[3], ~shift), atomicOr(&y[4], shift), atomicXor(&y[5], i * 77);  \\
    for (T seen = y[7], old = seen + 1; old != seen;) {                          \\
      if (old != seen + 1) seen = old;                                           \\
      old = atomicCAS(&y[6], seen, seen + 3);                                    \\
      if (old == seen) break;                                                    \\
      seen = old, old = seen + 1;                                                \\
    }                                                                            \\
    atomicInc(&rounds[0], 6u), atomicDec(&rounds[1], 6u);                        \\
  }
WHOLE(int, int)
WHOLE(unsigned, unsigned)
WHOLE(long, long long)
WHOLE(unsigned_long, unsigned long long)
SUM(int, int)
SUM(unsigned, unsigned)
SUM(long, long long)
SUM(unsigned_long, unsigned long long)
SUM(float, float)
SUM(double, double)
SUM(half, __half)
"""
WHOLE = {"int": "i4", "unsigned": "u4", "long": "i8", "unsigned_long": "u8"}
SUMMED = WHOLE | {"float": "f4", "double": "f8", "half": "f2"}


@pytest.mark.parametrize("mode, order", RUNS)
@pytest.mark.parametrize("name", SUMMED)
def test_atomic_sums_and_exchanges(name, mode, order):
    y, before = zeros(3, dtype=SUMMED[name]), zeros(40, dtype=SUMMED[name])
    with mg.cuda.simulate(order=order, seed=2):
        mg.cuda.compile(ATOMICS, mode=mode)[f"sum_{name}"](2, 20, (y, before))
    np.testing.assert_array_equal(np.sort(before), np.arange(40))
    assert y[0] == 40
    assert y[1] + y[2] == 41 * 20, "each value was seen once, or is the last"


@pytest.mark.parametrize("mode, order", RUNS)
@pytest.mark.parametrize("name", WHOLE)
def test_atomics_of_whole_numbers(name, mode, order):
    dtype, i = np.dtype(WHOLE[name]), np.arange(120)
    y, rounds = zeros(8, dtype=dtype), zeros(2, dtype=np.uint32)
    y[1], y[3] = 100, ~dtype.type(0)
    with mg.cuda.simulate(order=order, seed=3):
        mg.cuda.compile(ATOMICS, mode=mode)[f"whole_{name}"](3, 40, (y, rounds))
    mask = bits(set(i % (8 * dtype.itemsize - 1)))
    expected = [-int(i.sum()), 0, 119, ~mask, mask, np.bitwise_xor.reduce(i * 77), 360, 0]
    np.testing.assert_array_equal(y, np.array([int(v) % 2 ** (8 * dtype.itemsize) for v in expected], object).astype(
        f"u{dtype.itemsize}").view(dtype))  # fmt: skip
    assert rounds.tolist() == [120 % 7, (-120) % 7]


HALVES = """
#include <cuda_fp16.h>
#include <cuda_bf16.h>
extern "C" __global__ void halves(__half* y, int* found, const __half* a, const __half* b) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, n = 65536;
  const __half2 pair = __halves2half2(a[i], b[i]), sum = __hadd2(pair, __half2half2(a[i]));
  y[i] = __hneg(a[i]), y[n + i] = __hmax(a[i], b[i]), y[2 * n + i] = __hmin(a[i], b[i]);
  y[3 * n + i] = __low2half(sum), y[4 * n + i] = __high2half(sum);
  y[5 * n + i] = __ushort_as_half(__half_as_ushort(a[i])), y[6 * n + i] = __float2half(__half2float(a[i]));
  found[i] = __hgt(a[i], b[i]) + 2 * __hlt(a[i], b[i]) + 4 * __hisnan(a[i]);
}
extern "C" __global__ void brains(__nv_bfloat16* y, float* wide, const __nv_bfloat16* a, const __nv_bfloat16* b) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, n = 65536;
  wide[i] = __bfloat162float(a[i]);
  y[i] = __float2bfloat16(wide[i]);
  y[n + i] = __float2bfloat16(wide[i] + __bfloat162float(b[i]));
  y[2 * n + i] = __float2bfloat16(wide[i] * __bfloat162float(b[i]));
  const __nv_bfloat162 pair = __floats2bfloat162_rn(wide[i], __low2float({b[i], a[i]}));
  y[3 * n + i] = __float2bfloat16(__high2float(pair));
}
"""


def same_bits(found, expected):
    """All numbers bit for bit; NaN is NaN."""
    found, nan = np.asarray(found), np.isnan(expected.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(found.astype(np.float32)), nan)
    np.testing.assert_array_equal(found[~nan].view(np.uint16), expected[~nan].view(np.uint16))


def all_pairs(dtype):
    """Every two-byte number, and each once more in another order."""
    a = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    return a, np.random.default_rng(4).permutation(a)


def test_every_half():
    a, b = all_pairs(np.float16)
    y, found = empty((7, 65536), np.float16), empty((65536,), np.int32)
    mg.cuda.compile(HALVES, "halves", mode="fast")(256, 256, (y, found, there(a), there(b)))
    with np.errstate(all="ignore"):
        fmax, fmin = np.fmax(a, b), np.fmin(a, b)
        for row, right in zip(y, (-a, fmax, fmin, a + a, b + a, a, a), strict=True):
            zeros_differ = (a == 0) & (b == 0) & (right is fmax or right is fmin)  # +0 or -0: both are right
            same_bits(row[~zeros_differ], right[~zeros_differ])
    np.testing.assert_array_equal(found, (a > b) + 2 * (a < b) + 4 * np.isnan(a))


def test_every_brain_float():
    a, b = all_pairs(ml_dtypes.bfloat16)
    y, wide = empty((4, 65536), ml_dtypes.bfloat16), empty((65536,), np.float32)
    mg.cuda.compile(HALVES, "brains", mode="fast")(256, 256, (y, wide, there(a), there(b)))
    with np.errstate(all="ignore"):
        p, q = a.astype(np.float32), b.astype(np.float32)
        for row, right in zip(y, (a, (p + q).astype(a.dtype), (p * q).astype(a.dtype), b), strict=True):
            same_bits(row, right)
        np.testing.assert_array_equal(wide, p)


SAYS = r"""
extern "C" __global__ void says(const float* x) {
  if (threadIdx.x == 1) printf("x[1] is %g in block %d\n", x[1], blockIdx.x);
}
"""


@pytest.mark.parametrize("mode", ["fast", "check"])
def test_printf(mode, capfd):
    mg.cuda.compile(SAYS, mode=mode)(2, 32, (there(np.array([1, 2.5], np.float32)),))
    assert capfd.readouterr().out == "x[1] is 2.5 in block 0\nx[1] is 2.5 in block 1\n"


# What does not end ---------------------------------------------------------------------------------------------------

ENDLESS = """
extern "C" __global__ void waits(float* y, const volatile int* flag) {
  if (threadIdx.x == 3)
    while (*flag == 0) {
    }
  y[threadIdx.x] = 1.0f;
}
extern "C" __global__ void meets(float* y, const volatile int* flag) {
  while (*flag == 0)
    __syncthreads();
}
extern "C" __global__ void counts(float* y, const volatile int* flag) {
  for (unsigned n = 0; n < 10; n = n == 9 ? 0 : n + 1)
    if (n == 3) y[threadIdx.x] += 1.0f;
}
"""
LINES = {"waits": (4, 5), "meets": (9, 10), "counts": (13, 14)}


@pytest.mark.parametrize("kernel", LINES)
def test_an_endless_loop_is_reported(kernel):
    with (
        mg.cuda.simulate(patience=10**5),
        pytest.raises(
            KernelError, match=r"took more than 100000 steps in one block, the last at kernel\.cu:"
        ) as caught,
    ):
        mg.cuda.compile(ENDLESS)[kernel](1, 32, (zeros(32), zeros(1, dtype=np.int32)))
    assert caught.value.kind == "endless loop" and caught.value.line in LINES[kernel]


@pytest.mark.parametrize("kernel", LINES)
@pytest.mark.parametrize("mode", ["fast", "check"])
def test_control_c_ends_a_launch(kernel, mode, request):
    """And leaves the simulator, and Python's own handler, as they were."""
    endless, handler = mg.cuda.compile(ENDLESS, mode=mode)[kernel], signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # a job in the background starts with it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with mg.cuda.simulate(patience=0), pytest.raises(KeyboardInterrupt, match="interrupted"):
        endless(1, 32, (zeros(32), zeros(1, dtype=np.int32)))
    timer.join()
    assert signal.getsignal(signal.SIGINT) is handler
    y = zeros(32)
    mg.cuda.compile(ENDLESS, mode=mode).waits(1, 32, (y, there(np.ones(1, np.int32))))
    assert y.tolist() == [1.0] * 32
