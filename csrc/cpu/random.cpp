// Random numbers as a pure function of (seed, counter): Philox4x32-10, so the stream is the same for any thread count
// and backend.
//
// Element i of a call is lane i % 4 of counter offset + i / 4 under the key `seed`.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; Box and Muller, 1958.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd_math.h"

namespace minigrad {
namespace {

constexpr Size kCounters = 64, kBlock = 4 * kCounters;  // a block stays in the first-level cache

struct Stream {
  uint64_t seed, offset;
};

using Bits = Simd<uint32_t, kLanes>;

// Ten rounds on as many counters as there are lanes.
void philox(uint64_t seed, Bits (&c)[4]) {
  auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    Bits upper0, lower0, upper2, lower2;
    multiply_wide(c[0], 0xD2511F53u, upper0, lower0);
    multiply_wide(c[2], 0xCD9E8D57u, upper2, lower2);
    c[0] = upper2 ^ c[1] ^ Bits(k0), c[1] = lower2;
    c[2] = upper0 ^ c[3] ^ Bits(k1), c[3] = lower0;
  }
}

// Multiples of 2^-24 in [0, 1) for the elements 4 * first .. 4 * first + kBlock.
void uniform_block(Stream stream, Size first, float* u) {
  for (Size j = 0; j < kCounters; j += kLanes, u += 4 * kLanes) {
    uint32_t low[kLanes], high[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t counter = stream.offset + static_cast<uint64_t>(first + j + lane);
      low[lane] = static_cast<uint32_t>(counter), high[lane] = static_cast<uint32_t>(counter >> 32);
    }
    Bits c[4] = {Bits::load(low), Bits::load(high), Bits(0), Bits(0)};
    philox(stream.seed, c);
    const auto unit = [](Bits bits) { return convert<float>(convert<int32_t>(bits >> 8)) * VFloat(0x1p-24f); };
    store_interleaved(unit(c[0]), unit(c[1]), unit(c[2]), unit(c[3]), u);
  }
}

// f(first element, count, uniforms) for every block of a tensor of `size` elements.
template <class F>
void for_blocks(Size size, int64_t seed, int64_t offset, const F& f) {
  const Stream stream{static_cast<uint64_t>(seed), static_cast<uint64_t>(offset)};
  parallel_for((size + kBlock - 1) / kBlock, 8192 / kBlock, [&](Size begin, Size end) {
    float u[kBlock];
    for (Size block = begin; block < end; ++block) {
      uniform_block(stream, block * kCounters, u);
      f(block * kBlock, std::min(kBlock, size - block * kBlock), u);
    }
  });
}

// sin and cos of 2 pi u, u in [0, 1): u is brought to [-1/8, 1/8] by quarters of a turn, exactly.
void turn(VFloat u, VFloat& sine, VFloat& cosine) {
  using V = VFloat;
  const VInt quarter = convert<int32_t>(u * V(4.0f) + V(0.5f));
  const V t = u - convert<float>(quarter) * V(0.25f), t2 = t * t;
  const V s = t * polynomial(t2, 6.2831854820251465f, -41.34170150756836f, 81.6052017211914f, -76.6977767944336f,
                             41.46994400024414f);
  const V c = polynomial(t2, 1.0f, -19.739208221435547f, 64.9393081665039f, -85.44229888916016f, 59.2028923034668f);
  const auto swap = (quarter & VInt(1)) != VInt(0);
  const auto flip_sine = (quarter & VInt(2)) != VInt(0), flip_cosine = ((quarter + VInt(1)) & VInt(2)) != VInt(0);
  sine = select(swap, c, s), cosine = select(swap, s, c);
  sine = select(flip_sine, -sine, sine), cosine = select(flip_cosine, -cosine, cosine);
}

// Box and Muller on (u1, u2) = lanes (0, 1) and (2, 3): r cos and r sin with r = sqrt(-2 ln(u1 + 2^-24)).
void normal_block(float* u) {
  using V = VFloat;
  constexpr Size kPairs = kBlock / 2;
  float first[kPairs], second[kPairs];
  for (Size i = 0; i < kPairs; ++i) first[i] = u[2 * i] + 0x1p-24f, second[i] = u[2 * i + 1];
  for (Size i = 0; i < kPairs; i += V::lanes) {
    const V r = sqrt(V(-2.0f) * log(V::load(first + i)));
    V sine, cosine;
    turn(V::load(second + i), sine, cosine);
    (r * cosine).store(first + i), (r * sine).store(second + i);
  }
  for (Size i = 0; i < kPairs; ++i) u[2 * i] = first[i], u[2 * i + 1] = second[i];
}

void dropout(float* y, const float* x, Size size, double p, int64_t seed, int64_t offset) {
  require(p >= 0 && p <= 1, "p must lie in [0, 1]");
  const VFloat kept(static_cast<float>(1 - p)), threshold(static_cast<float>(p));
  for_blocks(size, seed, offset, [=](Size at, Size count, const float* u) {
    for (Size i = 0; i < count; i += kLanes) {
      const Size n = std::min<Size>(kLanes, count - i);
      const VFloat scaled = VFloat::load(x + at + i, n) / kept;
      select(VFloat::load(u + i) >= threshold, scaled, VFloat(0.0f)).store(y + at + i, n);
    }
  });
}

}  // namespace

void uniform_fill(Out<float> y, int64_t seed, int64_t offset) {
  for_blocks(y.size, seed, offset, [&](Size at, Size count, const float* u) { std::copy_n(u, count, y.data + at); });
}

void normal_fill(Out<float> y, int64_t seed, int64_t offset) {
  for_blocks(y.size, seed, offset, [&](Size at, Size count, float* u) {
    normal_block(u);
    std::copy_n(u, count, y.data + at);
  });
}

void dropout_forward(Out<float> y, In<float> x, double p, int64_t seed, int64_t offset) {
  require_same_shape(y, x, "y and x");
  dropout(y.data, x.data, x.size, p, seed, offset);
}

void dropout_backward(Out<float> dx, In<float> dy, double p, int64_t seed, int64_t offset) {
  require_same_shape(dx, dy, "dx and dy");
  dropout(dx.data, dy.data, dy.size, p, seed, offset);
}

}  // namespace minigrad
