// Activations and their slopes, for the loops that apply them alone and for those that end with one.
#pragma once

#include "cpu/simd_math.h"

namespace minigrad {

inline VFloat relu(VFloat x) { return select(x < VFloat(0.0f), VFloat(0.0f), x); }  // NaN passes

// What an activation makes of a number, and its slope there: most of the work is for both.
struct Activated {
  VFloat y, slope;
};

// x Phi(x); NaN passes by the factor x.
inline Activated gelu_with_slope(VFloat x) {
  VFloat bell;
  const VFloat cdf = normal_cdf(x, bell);
  return {x * cdf, fma(x * VFloat(0.39894228f), bell, cdf)};
}
inline VFloat gelu(VFloat x) { return gelu_with_slope(x).y; }
inline VFloat gelu_slope(VFloat x) { return gelu_with_slope(x).slope; }

// 1 / (1 + e^-x) of numbers; where the bounds bite it is 0 or 1 to the last bit.
inline VFloat share(VFloat x) {
  return VFloat(1.0f) / (VFloat(1.0f) + detail::exp_in_range(min(VFloat(88.0f), max(VFloat(-87.0f), -x))));
}

inline VFloat silu(VFloat x) { return x * share(x); }
inline VFloat silu_slope(VFloat x) {
  const VFloat s = share(x);
  return s * fma(x, VFloat(1.0f) - s, VFloat(1.0f));
}

// x (1 + tanh(u)) / 2 = x / (1 + e^-2u) with u = sqrt(2/pi) (x + 0.044715 x^3)
inline Activated gelu_tanh_with_slope(VFloat x) {
  const VFloat s = share(VFloat(1.59576912f) * x * fma(VFloat(0.044715f) * x, x, VFloat(1.0f)));
  const VFloat du = VFloat(1.59576912f) * fma(VFloat(3 * 0.044715f) * x, x, VFloat(1.0f));
  return {x * s, s * fma(x * du, VFloat(1.0f) - s, VFloat(1.0f))};
}
inline VFloat gelu_tanh(VFloat x) { return gelu_tanh_with_slope(x).y; }
inline VFloat gelu_tanh_slope(VFloat x) { return gelu_tanh_with_slope(x).slope; }

}  // namespace minigrad
