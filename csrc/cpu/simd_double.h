// Doubles<N>: N doubles for the N lanes of a Simd<float, N>, in two registers of the width that floats have. Wider
// vectors than the processor's are copied through memory by g++.
#pragma once

#include "cpu/simd.h"

namespace minigrad {

template <int N>
struct Doubles {
  using Half = Simd<double, N / 2>;
  Half low, high;

  Doubles() = default;
  Doubles(Half low, Half high) : low(low), high(high) {}
  explicit Doubles(double x) : low(x), high(x) {}
  static Doubles load(const double* p) { return {Half::load(p), Half::load(p + N / 2)}; }
  void store(double* p) const { low.store(p), high.store(p + N / 2); }

  friend Doubles operator+(Doubles a, Doubles b) { return {a.low + b.low, a.high + b.high}; }
  friend Doubles operator*(Doubles a, Doubles b) { return {a.low * b.low, a.high * b.high}; }
  friend Doubles operator/(Doubles a, Doubles b) { return {a.low / b.low, a.high / b.high}; }
  friend Doubles fma(Doubles a, Doubles b, Doubles c) {
    return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)};
  }
};

template <>
struct Doubles<1> : Simd<double, 1> {
  using Simd<double, 1>::Simd;
  Doubles() = default;
  Doubles(Simd<double, 1> x) : Simd<double, 1>(x) {}
};

using VDouble = Doubles<kLanes>;

namespace detail {
template <class T, int N, int... I>
Simd<T, N / 2> part(Simd<T, N> x, std::integer_sequence<int, I...>) {
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
  if constexpr (N > 2) return Simd<T, N / 2>(__builtin_shufflevector(x.v, x.v, I...));
#endif
  const T lane[] = {x[I]...};
  return Simd<T, N / 2>::load(lane);
}
template <class T, int N, int... I>
Simd<T, 2 * N> join(Simd<T, N> a, Simd<T, N> b, std::integer_sequence<int, I...>) {
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
  if constexpr (N > 1) return Simd<T, 2 * N>(__builtin_shufflevector(a.v, b.v, I...));
#endif
  const T lane[] = {(I < N ? a[I % N] : b[I % N])...};
  return Simd<T, 2 * N>::load(lane);
}
template <int from, int... I>
constexpr auto counted_from(std::integer_sequence<int, I...>) {
  return std::integer_sequence<int, from + I...>{};
}
}  // namespace detail

template <int N>
Doubles<N> widened(Simd<float, N> x) {
  if constexpr (N == 1) {
    return Doubles<1>(convert<double>(x));
  } else {
    constexpr auto lower = std::make_integer_sequence<int, N / 2>{};
    return {convert<double>(detail::part(x, lower)),
            convert<double>(detail::part(x, detail::counted_from<N / 2>(lower)))};
  }
}

template <int N>
Simd<float, N> narrowed(Doubles<N> x) {
  if constexpr (N == 1)
    return convert<float>(static_cast<Simd<double, 1>>(x));
  else
    return detail::join(convert<float>(x.low), convert<float>(x.high), std::make_integer_sequence<int, N>{});
}

}  // namespace minigrad
