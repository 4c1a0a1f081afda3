// Random numbers as a pure function of (seed, counter): Philox4x32-10, so the stream is the same for any thread count
// and backend.
//
// Element i of a call is lane i % 4 of counter offset + i / 4 under the key `seed`.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; Box and Muller, 1958.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd_math.h"

namespace minigrad {
namespace {

constexpr int kWide = kLanes > 1 ? kLanes / 2 : 1, kSets = 2;  // counters in a vector; vectors that go side by side
constexpr Size kCounters = 64, kBlock = 4 * kCounters;         // a block stays in the first-level cache

struct Stream {
  uint64_t seed, offset;
};

// A 32-bit word in each lane; what stands above it does not count.
using Words = Simd<uint64_t, kWide>;

// Ten rounds on as many counters as there are lanes.
void philox(uint64_t seed, Words (&c)[kSets][4]) {
  auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (auto& x : c) {
      const Words p0 = multiply_low_halves(x[0], Words(0xD2511F53u)),
                  p2 = multiply_low_halves(x[2], Words(0xCD9E8D57u));
      x[0] = (p2 >> 32) ^ x[1] ^ Words(k0), x[1] = p2;
      x[2] = (p0 >> 32) ^ x[3] ^ Words(k1), x[3] = p0;
    }
}

// The four words of each of the counters from `first` on, one after the other: kBlock in all.
void random_block(Stream stream, Size first, uint32_t* bits) {
  constexpr auto lanes = std::make_integer_sequence<int, kWide>{};
  uint64_t count[kWide];
  for (int i = 0; i < kWide; ++i) count[i] = i;
  Words counter = Words::load(count) + Words(stream.offset + static_cast<uint64_t>(first));
  for (Size j = 0; j < kCounters; j += kSets * kWide) {
    Words c[kSets][4];
    for (auto& x : c) {
      x[0] = counter, x[1] = counter >> 32, x[2] = x[3] = Words(0);
      counter += Words(kWide);
    }
    philox(stream.seed, c);
    for (auto& x : c) {
      const Words low(0xffffffff), a = (x[0] & low) | (x[1] << 32), b = (x[2] & low) | (x[3] << 32);
      const Words halves[] = {detail::interleave<0>(a, b, lanes), detail::interleave<1>(a, b, lanes)};
      for (const Words& half : halves) {
        std::memcpy(bits, &half.v, sizeof half.v);
        bits += 2 * kWide;
      }
    }
  }
}

using Bits = Simd<uint32_t, kLanes>;

// f(first element, count, random words) for every block of a tensor of `size` elements.
template <class F>
void for_blocks(Size size, int64_t seed, int64_t offset, const F& f) {
  const Stream stream{static_cast<uint64_t>(seed), static_cast<uint64_t>(offset)};
  parallel_for((size + kBlock - 1) / kBlock, 8192 / kBlock, [&](Size begin, Size end) {
    uint32_t bits[kBlock];
    for (Size block = begin; block < end; ++block) {
      random_block(stream, block * kCounters, bits);
      f(block * kBlock, std::min(kBlock, size - block * kBlock), bits);
    }
  });
}

// Multiples of 2^-24 in [0, 1).
void uniform_block(const uint32_t* bits, float* u) {
  for (Size i = 0; i < kBlock; i += kLanes)
    (convert<float>(convert<int32_t>(Bits::load(bits + i) >> 8)) * VFloat(0x1p-24f)).store(u + i);
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
  const VFloat scale(static_cast<float>(1 / (1 - p))), zero(0.0f);
  const VInt dropped(static_cast<int32_t>(std::ceil(p * 0x1p24)));  // as many of the 2^24 words' upper parts
  for_blocks(size, seed, offset, [=](Size at, Size count, const uint32_t* bits) {
    const auto keep = [&](Size i, VFloat x) {
      return select(convert<int32_t>(Bits::load(bits + i) >> 8) >= dropped, x * scale, zero);
    };
    Size i = 0;
    for (; i + kLanes <= count; i += kLanes) keep(i, VFloat::load(x + at + i)).store(y + at + i);
    if (i < count) keep(i, VFloat::load(x + at + i, count - i)).store(y + at + i, count - i);
  });
}

}  // namespace

void uniform_fill(Out<float> y, int64_t seed, int64_t offset) {
  for_blocks(y.size, seed, offset, [&](Size at, Size count, const uint32_t* bits) {
    float u[kBlock];
    uniform_block(bits, u);
    std::copy_n(u, count, y.data + at);
  });
}

void normal_fill(Out<float> y, int64_t seed, int64_t offset) {
  for_blocks(y.size, seed, offset, [&](Size at, Size count, const uint32_t* bits) {
    float u[kBlock];
    uniform_block(bits, u);
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
