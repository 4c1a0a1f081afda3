// Matrices turned: in registers, and from memory to memory.
#pragma once

#include <utility>

#include "cpu/simd.h"

namespace minigrad {

namespace detail {
// Pairs of runs of `run` lanes: those of even number (odd = 0) or odd number of a and b in turn.
template <int run, int odd, class T, int N, int... I>
Simd<T, N> alternate(Simd<T, N> a, Simd<T, N> b, std::integer_sequence<int, I...>) {
  return shuffle(a, b, std::integer_sequence<int, (I / run % 2 ? N + I - run + odd * run : I + odd * run)...>{});
}
// The same of single lanes or pairs, but within quarters of four lanes, and the lower (upper = 0) or upper ones: the
// one instruction that x86 has for it.
template <int run, int upper, class T, int N, int... I>
Simd<T, N> unpack(Simd<T, N> a, Simd<T, N> b, std::integer_sequence<int, I...>) {
  return shuffle(
      a, b,
      std::integer_sequence<int, (I / 4 * 4 + I % 4 / (2 * run) * run + I % run + upper * 2 + I / run % 2 * N)...>{});
}
template <int run, class T, int N>
MINIGRAD_INLINE void exchange_runs(Simd<T, N> (&rows)[N]) {
  constexpr auto lanes = std::make_integer_sequence<int, N>{};
  if constexpr (run < N) {
    MINIGRAD_UNROLL
    for (int i = 0; i < N; ++i) {
      if (i & run) continue;
      const Simd<T, N> a = rows[i], b = rows[i + run];
      rows[i] = alternate<run, 0>(a, b, lanes), rows[i + run] = alternate<run, 1>(a, b, lanes);
    }
    exchange_runs<2 * run>(rows);
  }
}
}  // namespace detail

// The N x N matrix whose rows are given, transposed in registers: squares of 4 x 4 first, then larger runs of lanes.
template <class T, int N>
MINIGRAD_INLINE void transpose(Simd<T, N> (&rows)[N]) {
  constexpr auto lanes = std::make_integer_sequence<int, N>{};
  if constexpr (N < 4) return detail::exchange_runs<1>(rows);
  if constexpr (N >= 4) {
    MINIGRAD_UNROLL
    for (int i = 0; i < N; i += 4) {
      const Simd<T, N> a = detail::unpack<1, 0>(rows[i], rows[i + 1], lanes);
      const Simd<T, N> b = detail::unpack<1, 1>(rows[i], rows[i + 1], lanes);
      const Simd<T, N> c = detail::unpack<1, 0>(rows[i + 2], rows[i + 3], lanes);
      const Simd<T, N> d = detail::unpack<1, 1>(rows[i + 2], rows[i + 3], lanes);
      rows[i] = detail::unpack<2, 0>(a, c, lanes), rows[i + 1] = detail::unpack<2, 1>(a, c, lanes);
      rows[i + 2] = detail::unpack<2, 0>(b, d, lanes), rows[i + 3] = detail::unpack<2, 1>(b, d, lanes);
    }
    detail::exchange_runs<4>(rows);
  }
}

// to[i * to_step + j] = from[i + j * from_step] for i < rows, j < cols: a matrix turned, square by square.
inline void copy_turned(float* to, Size to_step, const float* from, Size from_step, Size rows, Size cols) {
  constexpr int W = kLanes;
  Size i = 0;
  for (; i + W <= rows; i += W) {
    Size j = 0;
    for (; j + W <= cols; j += W) {
      VFloat square[W];
      MINIGRAD_UNROLL
      for (int l = 0; l < W; ++l) square[l] = VFloat::load(from + i + (j + l) * from_step);
      transpose(square);
      MINIGRAD_UNROLL
      for (int l = 0; l < W; ++l) square[l].store(to + (i + l) * to_step + j);
    }
    for (; j < cols; ++j)
      for (int l = 0; l < W; ++l) to[(i + l) * to_step + j] = from[i + l + j * from_step];
  }
  for (; i < rows; ++i)
    for (Size j = 0; j < cols; ++j) to[i * to_step + j] = from[i + j * from_step];
}

}  // namespace minigrad
