// exp, log, tanh, erf, sigmoid and their kin on Simd<float, N>, accurate to a few units in the last place.
//
// Infinities, NaN, zeros and overflow come out as IEEE says; results below the smallest normal number are flushed to
// zero. The polynomials are minimax fits (weighted least squares after Lawson, in 40 digits) on the ranges named beside
// them.
#pragma once

#include <cmath>
#include <limits>

#include "cpu/simd.h"

namespace minigrad {

// c0 + c1 x + c2 x^2 + ..., Horner's rule.
template <int N>
Simd<float, N> polynomial(Simd<float, N>, float c) {
  return c;
}
template <int N, class... C>
Simd<float, N> polynomial(Simd<float, N> x, float c, C... higher) {
  return fma(polynomial(x, higher...), x, Simd<float, N>(c));
}

namespace detail {
// e^x = 2^n e^r with |r| <= ln(2)/2: e^r is returned, n + bias stands in the bits of an exponent. n ln(2) is taken away
// in two parts, so that r keeps its low bits (Cody and Waite); adding 1.5 * 2^23 rounds to an integer and leaves it in
// the low bits, from where it is shifted to the exponent.
template <int bias, int N>
Simd<float, N> exp_in_parts(Simd<float, N> x, Simd<uint32_t, N>& exponent) {
  using F = Simd<float, N>;
  const F shift(12582912.0f + bias), shifted = fma(x, F(1.44269504f), shift), n = shifted - shift;
  const F r = fma(n, F(-1.42860682e-6f), fma(n, F(-0.693145752f), x));
  const F p = polynomial(r, 0.4999999403953552f, 0.16666515171527863f, 0.04166845604777336f, 0.008369418792426586f,
                         0.0013813142431899905f);
  exponent = bitcast<uint32_t>(shifted) << 23;
  return fma(p, r * r, r) + F(1.0f);
}
// e^x for -87 <= x <= 88, NaN for NaN.
template <int N>
Simd<float, N> exp_in_range(Simd<float, N> x) {
  Simd<uint32_t, N> exponent;
  const Simd<float, N> e = exp_in_parts<127>(x, exponent);
  return e * bitcast<float>(exponent);
}
}  // namespace detail

// e^x for x <= 88 and NaN: what softmax takes of numbers below their maximum.
template <int N>
Simd<float, N> exp_bounded(Simd<float, N> x) {
  using F = Simd<float, N>;
  return select(x < F(-87.3365402f), F(0.0f), detail::exp_in_range(x));
}

template <int N>
Simd<float, N> exp(Simd<float, N> x) {
  using F = Simd<float, N>;
  Simd<uint32_t, N> exponent;
  const F r = detail::exp_in_parts<0>(x, exponent);  // 2^n may be too large for a factor
  const F e = select(is_nan(x), x, bitcast<float>(bitcast<uint32_t>(r) + exponent));
  return select(x < F(-87.3365402f), F(0.0f), select(x > F(88.7228394f), F(std::numeric_limits<float>::infinity()), e));
}

// log(2^n m) = n ln(2) + log(m), m in [sqrt(1/2), sqrt(2)).
template <int N>
Simd<float, N> log(Simd<float, N> x) {
  using F = Simd<float, N>;
  using U = Simd<uint32_t, N>;
  constexpr float inf = std::numeric_limits<float>::infinity();
  const U root(0x3f3504f3), bits = bitcast<uint32_t>(x) - root;  // sqrt(1/2)
  const F n = convert<float>(bitcast<int32_t>(bits) >> 23);
  const F f = bitcast<float>((bits & U(0x007fffff)) + root) - F(1.0f);
  const F p = polynomial(f, 0.3333331346511841f, -0.25000008940696716f, 0.2000211924314499f, -0.1666799634695053f,
                         0.14219550788402557f, -0.12405591458082199f, 0.11888174712657928f, -0.11675640940666199f,
                         0.06746601313352585f);
  const F f2 = f * f;
  F y = fma(n, F(1.42860682e-6f), fma(p, f * f2, fma(f2, F(-0.5f), f)));
  y = fma(n, F(0.693145752f), y);
  y = select(x < F(inf), y, x);  // +inf and NaN
  y = select(x == F(0.0f), F(-inf), y);
  return select(x < F(0.0f), F(std::numeric_limits<float>::quiet_NaN()), y);
}

// x + x^3 P(x^2) near 0, else 1 - 2 / (e^2|x| + 1), where nothing cancels.
template <int N>
Simd<float, N> tanh(Simd<float, N> x) {
  using F = Simd<float, N>;
  const F x2 = x * x, a = abs(x);
  const F p = polynomial(x2, -0.3333328068256378f, 0.13331441581249237f, -0.05373971536755562f, 0.02063908986747265f,
                         -0.005704990588128567f);
  const F near = fma(p * x2, x, x);
  const F twice = select(a > F(10.0f), F(20.0f), a + a);  // beyond 10 it is 1 to the last bit; NaN passes
  const F far = F(1.0f) - F(2.0f) / (detail::exp_in_range(twice) + F(1.0f));
  return select(a < F(0.625f), near, copysign(far, x));
}

template <int N>
Simd<float, N> sigmoid(Simd<float, N> x) {
  using F = Simd<float, N>;
  return F(1.0f) / (F(1.0f) + exp(-x));
}

// The distribution function of the normal distribution, and e^(-x^2/2), which its density is a multiple of; numbers
// only. Phi(-|x|) = e^(-x^2/2) t P(t) with t = 1 / (1 + 0.3 |x|), P fitted for |x| <= 13.
template <int N>
Simd<float, N> normal_cdf(Simd<float, N> x, Simd<float, N>& bell) {
  using F = Simd<float, N>;
  bell = detail::exp_in_range(max(F(-87.0f), F(-0.5f) * x * x));
  const F t = F(1.0f) / fma(abs(x), F(0.3f), F(1.0f));
  const F p = polynomial(t, 0.1196245476603508f, 0.12082631886005402f, 0.09946507215499878f, 0.13003258407115936f,
                         -0.056450020521879196f, 0.20934629440307617f, -0.15893368422985077f, 0.03608883172273636f);
  const F tail = p * t * bell;
  return select(x < F(0.0f), tail, F(1.0f) - tail);
}

// x + x P(x^2) near 0, else 1 - e^Q(|x|), Q = log(erfc) on [0.92, 4]; beyond 4 it is 1 to the last bit.
template <int N>
Simd<float, N> erf(Simd<float, N> x) {
  using F = Simd<float, N>;
  const F a = abs(x), x2 = x * x;
  const F p = polynomial(x2, 0.12837915122509003f, -0.3761247992515564f, 0.11281684041023254f, -0.026761749759316444f,
                         0.004985974170267582f, -0.0005953882355242968f);
  const F near = fma(p, x, x);
  const F t = select(a > F(4.0f), F(4.0f), a);  // NaN passes
  const F q = polynomial(t, 0.00017468445003032684f, -1.1295149326324463f, -0.6333469152450562f, -0.10828009247779846f,
                         0.02511942759156227f, -0.00417106319218874f, 0.0004344626213423908f, -2.1095051124575548e-05f);
  return select(a < F(0.92f), near, copysign(F(1.0f) - detail::exp_in_range(q), x));
}

// Lane by lane: accurate for every base and exponent, as the C library is.
template <int N>
Simd<float, N> pow(Simd<float, N> x, Simd<float, N> y) {
  float base[N], exponent[N];
  x.store(base), y.store(exponent);
  for (int i = 0; i < N; ++i) base[i] = std::pow(base[i], exponent[i]);
  return Simd<float, N>::load(base);
}

}  // namespace minigrad
