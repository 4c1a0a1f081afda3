// Numbers of one or two bytes as float, and floats back as two bytes, rounded to the nearest, ties to even. Denormals
// of two bytes are numbers like others.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cpu/array.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace halves {

// Bytes with a sign: every lane takes the word its byte lies in and moves it to the top and down again. Compilers make
// a mess of the plain conversion.
inline VFloat widen(const int8_t* p) {
  int32_t word[kLanes], shift[kLanes];
  for (int i = 0; i < kLanes; i += 4) {
    int32_t four = 0;
    std::memcpy(&four, p + i, std::min(4, kLanes));
    for (int j = 0; j < std::min(4, kLanes); ++j) word[i + j] = four, shift[i + j] = 24 - 8 * j;
  }
  const VInt top(VInt::load(word).v << VInt::load(shift).v);
  return convert<float>(top >> 24);
}

template <int N>
Simd<float, N> from_bfloat16(Simd<uint16_t, N> x) {
  return bitcast<float>(convert<uint32_t>(x) << 16);
}
template <int N>
Simd<uint16_t, N> to_bfloat16(Simd<float, N> x) {
  using U = Simd<uint32_t, N>;
  const U bits = bitcast<uint32_t>(x), upper = bits >> 16;
  return convert<uint16_t>(select(is_nan(x), upper | U(0x40), (bits + U(0x7fff) + (upper & U(1))) >> 16));
}

template <int N>
Simd<float, N> from_float16(Simd<uint16_t, N> x) {
#if defined(__F16C__)
  if constexpr (N == 8) return from_half(x);
#endif
#if defined(__AVX512F__)
  if constexpr (N == 16) return from_half(x);
#endif
  using U = Simd<uint32_t, N>;
  const U bits = convert<uint32_t>(x), size = bits & U(0x7fff);
  const auto denormal = convert<float>(bitcast<int32_t>(size)) * Simd<float, N>(0x1p-24f);
  const U number = (size << 13) + U(0x38000000), beyond = (size << 13) | U(0x7f800000);
  const U value = select(size < U(0x400), bitcast<uint32_t>(denormal), select(size < U(0x7c00), number, beyond));
  return bitcast<float>(value | (bits & U(0x8000)) << 16);
}
template <int N>
Simd<uint16_t, N> to_float16(Simd<float, N> x) {
#if defined(__F16C__)
  if constexpr (N == 8) return to_half(x);
#endif
#if defined(__AVX512F__)
  if constexpr (N == 16) return to_half(x);
#endif
  using U = Simd<uint32_t, N>;
  const U bits = bitcast<uint32_t>(x), size = bits & U(0x7fffffff), one_half(0x3f000000);
  const U denormal = bitcast<uint32_t>(bitcast<float>(size) + Simd<float, N>(0.5f)) - one_half;
  const U number = (size - U(0x38000000) + U(0xfff) + (size >> 13 & U(1))) >> 13;
  const U finite = select(size < U(0x38800000), denormal, number);
  const U value = select(size < U(0x47800000), finite, select(is_nan(x), U(0x7e00), U(0x7c00)));
  return convert<uint16_t>(value | (bits >> 16 & U(0x8000)));
}

// Whole vectors, or their first n lanes; zeros fill a vector up.
constexpr Size kAll = kLanes;

inline VFloat load(const float* p, Size n = kAll) { return n == kAll ? VFloat::load(p) : VFloat::load(p, n); }
inline VFloat load(const int8_t* p, Size n = kAll) {
  int8_t some[kLanes] = {};
  return widen(n == kAll ? p : (std::copy(p, p + n, some), some));
}
inline Simd<uint16_t> load_bits(const uint16_t* p, Size n) {
  return n == kAll ? Simd<uint16_t>::load(p) : Simd<uint16_t>::load(p, n);
}
template <class H>
const uint16_t* bits(const H* p) {
  return reinterpret_cast<const uint16_t*>(p);
}
inline VFloat load(const BFloat16* p, Size n = kAll) { return from_bfloat16(load_bits(bits(p), n)); }
inline VFloat load(const Float16* p, Size n = kAll) { return from_float16(load_bits(bits(p), n)); }

template <class H>
void store_bits(Simd<uint16_t> x, H* p, Size n) {
  uint16_t* to = reinterpret_cast<uint16_t*>(p);
  n == kAll ? x.store(to) : x.store(to, n);
}
inline void store(VFloat x, float* p, Size n = kAll) { n == kAll ? x.store(p) : x.store(p, n); }
inline void store(VFloat x, BFloat16* p, Size n = kAll) { store_bits(to_bfloat16(x), p, n); }
inline void store(VFloat x, Float16* p, Size n = kAll) { store_bits(to_float16(x), p, n); }

// Four vectors of weights at a time. Of bytes, four lie in each lane, and those of one place in all the lanes come out
// together: what they are multiplied with is put in that order once.
constexpr Size kRun = 4 * kLanes;
template <class W>
constexpr bool kTurned = std::is_same_v<W, int8_t>;

template <class W>
MINIGRAD_INLINE void load_run(const W* p, VFloat (&out)[4]) {
  if constexpr (kTurned<W>) {
    const VInt words = VInt::load(reinterpret_cast<const int32_t*>(p));
    for (int i = 0; i < 4; ++i) out[i] = convert<float>((words << (24 - 8 * i)) >> 24);
  } else {
    for (int i = 0; i < 4; ++i) out[i] = load(p + i * kLanes);
  }
}
inline void order_run(float* out, const float* x, Size n) {
  for (Size top = 0; top + kRun <= n; top += kRun)
    for (Size i = 0; i < kRun; ++i) out[top + i % 4 * kLanes + i / 4] = x[top + i];
}

// out = x, of another width.
template <class To, class From>
void convert_run(To* out, const From* x, Size n) {
  Size i = 0;
  for (; i + kLanes <= n; i += kLanes) store(load(x + i), out + i);
  if (i < n) store(load(x + i, n - i), out + i, n - i);
}
template <class To, class From>
void convert_all(To* out, const From* x, Size n) {
  parallel_for(n, kStreamGrain, [&](Size begin, Size end) { convert_run(out + begin, x + begin, end - begin); });
}

}  // namespace halves
}  // namespace minigrad
