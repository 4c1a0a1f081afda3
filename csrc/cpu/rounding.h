// Quotients rounded to whole numbers and what they leave, as Python and numpy define them, on Simd lanes.
//
// Infinities, zeros below the line and large quotients go lane by lane.
#pragma once

#include <cmath>

#include "cpu/simd.h"

namespace minigrad::rounding {

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

struct Whole {
  float quotient, rest;
};

inline Whole exact(float a, float b) {
  float rest = std::fmod(a, b), quotient = (a - rest) / b;
  if (b == 0) return {a / b, rest};
  if (rest == 0)
    rest = std::copysign(0.0f, b);
  else if ((b < 0) != (rest < 0))
    rest += b, quotient -= 1;
  if (quotient == 0) return {std::copysign(0.0f, a / b), rest};
  const float down = std::floor(quotient);
  return {quotient - down > 0.5f ? down + 1 : down, rest};
}

// The quotients, or what they leave. Below 2^22 the quotient cut to a whole number is right or one too far from zero,
// and the rest, exact where a multiplication and an addition are rounded once, has the wrong sign then.
template <bool rest, int N>
Simd<float, N> divide(Simd<float, N> a, Simd<float, N> b) {
  using F = Simd<float, N>;
  const F near = a / b, zero(0.0f), one(1.0f);
  const auto strange = (abs(near) >= F(4194304.0f)) | (abs(b) >= F(HUGE_VALF)) | is_nan(near);
  if (!kFused || any(strange)) {
    float x[N], y[N];
    a.store(x), b.store(y);
    for (int i = 0; i < N; ++i) x[i] = rest ? exact(x[i], y[i]).rest : exact(x[i], y[i]).quotient;
    return F::load(x);
  }
  const auto apart = [&](F x, F y) { return (x != zero) & (copysign(one, x) != copysign(one, y)); };
  F quotient = convert<float>(convert<int32_t>(near)), left = fma(-quotient, b, a);
  const auto far = apart(left, a);
  quotient = select(far, quotient - copysign(one, near), quotient), left = select(far, left + copysign(b, a), left);
  const auto above = apart(left, b);
  quotient = select(above, quotient - one, quotient), left = select(above, left + b, left);
  return rest ? select(left == zero, copysign(zero, b), left)
              : select(quotient == zero, copysign(zero, near), quotient);
}

template <int N>
Simd<float, N> floor_divide(Simd<float, N> a, Simd<float, N> b) {
  return divide<false>(a, b);
}
template <int N>
Simd<float, N> remainder(Simd<float, N> a, Simd<float, N> b) {
  return divide<true>(a, b);  // a rest of zero has the sign of b
}

template <int N>
Simd<float, N> trunc_divide(Simd<float, N> a, Simd<float, N> b) {
  float whole[N];
  (a / b).store(whole);
  for (float& x : whole) x = std::trunc(x);
  return Simd<float, N>::load(whole);
}

}  // namespace minigrad::rounding
