// The maximum of each 2 x 2 square after relu, and which of the four it is: what the fused poolings share.
//
// A code is one byte: 0, 1 (upper row), 2, 3 (lower row) for the first of the largest, kNone where nothing is above
// zero: then no gradient comes back. NaN beats any number, and is kNone too, as relu's gradient has it.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/simd.h"
#include "cpu/turn.h"

namespace minigrad::squares {

constexpr int kCorners = 4, kNone = 4;

// The square that lane i stands for, in its own order or in that of `part` below.
template <int N, bool parted>
constexpr int square(int i) {
  return parted && N == 8 ? i / 4 * 2 + i % 4 / 2 * 4 + i % 2 : i;
}

// Bytes, one for each of N squares: a lane holds its own in that byte of the word of four that it lies in.
template <int N, bool parted = false>
struct Codes {
  using I = Simd<int32_t, N>;
  I v;

  static constexpr auto lanes = std::make_integer_sequence<int, N>{};
  // The same byte for all lanes.
  static I all(uint32_t byte) {
    int32_t lane[N];
    for (int i = 0; i < N; ++i) lane[i] = static_cast<int32_t>(byte << 8 * (square<N, parted>(i) % 4));
    return I::load(lane);
  }
  I is(int code) const { return (v & all(0xff)) == all(code); }

  MINIGRAD_INLINE void store(uint8_t* to) const {
    I united = v;
    if constexpr (N >= 4) united = first(united | detail::exchange<kOther>(united, lanes), lanes);
    std::memcpy(to, &united.v, N);
  }
  MINIGRAD_INLINE static Codes load(const uint8_t* from) {
    int32_t word[(N + 3) / 4] = {};
    std::memcpy(word, from, N);
    return {spread(word, lanes)};
  }

 private:
  static constexpr int kOther = parted && N == 8 ? 4 : 2;  // from two lanes of a word to its other two
  // The words, side by side from the first lane on.
  template <int... L>
  MINIGRAD_INLINE static I first(I pairs, std::integer_sequence<int, L...>) {
    const I words = pairs | detail::exchange<1>(pairs, lanes);
    return detail::shuffle(words, words, std::integer_sequence<int, (parted && N == 8 ? 2 * L % N : 4 * L % N)...>{});
  }
  // Every lane gets the word its byte lies in. Made in one expression, so that it need not go through memory.
  template <int... L>
  MINIGRAD_INLINE static I spread(const int32_t* word, std::integer_sequence<int, L...>) {
    return I(typename I::Vec{word[square<N, parted>(L) / 4]...});
  }
};

template <int N, bool parted>
struct Winner {
  Simd<float, N> value;
  Codes<N, parted> code;
};

// `ordered` is all ones but where there is a NaN: then the value has every bit set, which is one.
template <bool parted = false, int N>
MINIGRAD_INLINE Winner<N, parted> winner(Simd<float, N> a, Simd<float, N> b, Simd<float, N> c, Simd<float, N> d) {
  using C = Codes<N, parted>;
  const auto right_above = b > a, right_below = d > c;
  const auto above = select(right_above, b, a), below = select(right_below, d, c);
  const auto ordered = (right_above | (b <= a)) & (right_below | (d <= c));
  const auto lower = below > above;
  const auto best = bitcast<float>(bitcast<int32_t>(select(lower, below, above)) | ~ordered);
  const auto right = (lower & right_below) | (~lower & right_above);
  const auto code = (lower & C::all(2)) | (right & C::all(1));
  const Simd<float, N> zero(0.0f);
  return {select(best < zero, zero, best), {select(best > zero, code, C::all(kNone))}};
}

// The lanes of a and b, one after the other, parted into those of even and of odd number, and put together again. They
// stay within quarters of four lanes, which is one instruction each: what goes in and out comes in this order.
template <int N, int... L>
MINIGRAD_INLINE void part(Simd<float, N> a, Simd<float, N> b, Simd<float, N>& even, Simd<float, N>& odd,
                          std::integer_sequence<int, L...>) {
  even = detail::shuffle(a, b, std::integer_sequence<int, (L / 4 * 4 + L % 2 * 2 + L % 4 / 2 * N)...>{});
  odd = detail::shuffle(a, b, std::integer_sequence<int, (L / 4 * 4 + L % 2 * 2 + 1 + L % 4 / 2 * N)...>{});
}
template <int N>
MINIGRAD_INLINE void join(Simd<float, N> even, Simd<float, N> odd, Simd<float, N>& a, Simd<float, N>& b) {
  constexpr auto lanes = std::make_integer_sequence<int, N>{};
  a = detail::unpack<1, 0>(even, odd, lanes), b = detail::unpack<1, 1>(even, odd, lanes);
}
// Lanes in the order of `part`, or back.
template <class T, int N>
MINIGRAD_INLINE Simd<T, N> in_order(Simd<T, N> x) {
  static_assert(N <= 8);
  if constexpr (N == 8) return detail::shuffle(x, x, std::integer_sequence<int, 0, 1, 4, 5, 2, 3, 6, 7>{});
  return x;
}

// x where the code is `which`, else 0.
template <int N, bool parted>
MINIGRAD_INLINE Simd<float, N> where_code(Codes<N, parted> code, int which, Simd<float, N> x) {
  return bitcast<float>(bitcast<int32_t>(x) & code.is(which));
}

}  // namespace minigrad::squares
