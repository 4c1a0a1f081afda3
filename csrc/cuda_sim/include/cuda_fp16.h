// half and half2 in the place of NVIDIA's header: stored in two bytes, every operation rounded once, to nearest even.
#pragma once

#include "../machine.h"

namespace cuda_sim {

// From double, which holds every float, and every sum and product of two halves, exactly.
inline uint16_t half_from(double x) {
  const auto bits = bit_copy<uint64_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  const double size = x < 0 ? -x : x;
  if (x != x) return 0x7fff;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 0x1p-14) {  // subnormal: at 2^28 the last bit of a double counts 2^-24, as that of such a half
    return static_cast<uint16_t>(sign | (bit_copy<uint64_t>(0x1p28 + size) - bit_copy<uint64_t>(0x1p28)));
  }
  const uint64_t scaled = (bits & 0x7fffffffffffffff) - (uint64_t{1023 - 15} << 52), odd = scaled >> 42 & 1;
  return static_cast<uint16_t>(sign | ((scaled + ((uint64_t{1} << 41) - 1) + odd) >> 42));
}

inline float half_value(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * static_cast<float>(fraction) * 0x1p-24f;
  const uint32_t quiet = exponent == 31 && fraction ? 1u << 22 : 0;  // else fmaxf would pass such a NaN on
  return bit_copy<float>(sign | (exponent == 31 ? 255 : exponent + 127 - 15) << 23 | fraction << 13 | quiet);
}

// a b + c, an inexact sum ending in an odd bit: rounding it once more then gives what one rounding would have given.
inline double odd_fma(double a, double b, double c) {
  const double product = a * b, sum = product + c;
  const double part = sum - product, error = (product - (sum - part)) + (c - part);
  if (!(error != 0) || sum - sum != 0 || bit_copy<uint64_t>(sum) & 1) return sum;
  return nextafter(sum, error > 0 ? INFINITY : -INFINITY);
}

}  // namespace cuda_sim

struct __half {
  uint16_t bits;
  __half() = default;
  __half(float x) : bits(::cuda_sim::half_from(x)) {}
  __half(double x) : bits(::cuda_sim::half_from(x)) {}
  __half(int x) : bits(::cuda_sim::half_from(x)) {}
  operator float() const { return ::cuda_sim::half_value(bits); }
};
struct alignas(4) __half2 {
  __half x, y;
  __half2() = default;
  __half2(__half x, __half y) : x(x), y(y) {}
};
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half2 __float2half2_rn(float x) { return {x, x}; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline float2 __half22float2(__half2 h) { return {h.x, h.y}; }
inline float __low2float(__half2 h) { return h.x; }
inline float __high2float(__half2 h) { return h.y; }
inline __half __low2half(__half2 h) { return h.x; }
inline __half __high2half(__half2 h) { return h.y; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half __ushort_as_half(unsigned short bits) { return ::cuda_sim::bit_copy<__half>(bits); }

// A float holds more than twice the digits of a half, so that rounding first to float does no harm.
#define CUDA_SIM_HALF_OPERATOR(NAME, OP)                                                                   \
  inline __half operator OP(__half a, __half b) { return static_cast<float>(a) OP static_cast<float>(b); } \
  inline __half& operator OP## = (__half & a, __half b) { return a = a OP b; }                             \
  inline __half2 operator OP(__half2 a, __half2 b) { return {a.x OP b.x, a.y OP b.y}; }                    \
  inline __half NAME(__half a, __half b) { return a OP b; }                                                \
  inline __half2 NAME##2(__half2 a, __half2 b) { return a OP b; }
CUDA_SIM_HALF_OPERATOR(__hadd, +)
CUDA_SIM_HALF_OPERATOR(__hsub, -)
CUDA_SIM_HALF_OPERATOR(__hmul, *)
CUDA_SIM_HALF_OPERATOR(__hdiv, /)
#undef CUDA_SIM_HALF_OPERATOR
inline __half2 __h2div(__half2 a, __half2 b) { return a / b; }

inline __half __hfma(__half a, __half b, __half c) {
  return ::cuda_sim::odd_fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c));
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
inline __half __hneg(__half a) { return -static_cast<float>(a); }
inline __half __hmax(__half a, __half b) { return fmaxf(a, b); }
inline __half __hmin(__half a, __half b) { return fminf(a, b); }
inline bool __hgt(__half a, __half b) { return static_cast<float>(a) > static_cast<float>(b); }
inline bool __hlt(__half a, __half b) { return static_cast<float>(a) < static_cast<float>(b); }
inline bool __hisnan(__half a) { return (a.bits & 0x7fff) > 0x7c00; }
