// Loads, stores, and functions of numbers. Results can differ from a GPU's in the last bits: `__expf` is expf here.
#pragma once

#include <cmath>
#include <cstdint>

#include "machine.h"

#define CUDA_SIM_LOAD(NAME)                  \
  template <class T>                         \
  CUDA_SIM_INLINE T NAME(const T* address) { \
    return *address;                         \
  }
CUDA_SIM_LOAD(__ldg)
CUDA_SIM_LOAD(__ldca)
CUDA_SIM_LOAD(__ldcg)
CUDA_SIM_LOAD(__ldcs)
#undef CUDA_SIM_LOAD
#define CUDA_SIM_STORE(NAME)                       \
  template <class T>                               \
  CUDA_SIM_INLINE void NAME(T* address, T value) { \
    *address = value;                              \
  }
CUDA_SIM_STORE(__stcg)
CUDA_SIM_STORE(__stcs)
CUDA_SIM_STORE(__stwt)
#undef CUDA_SIM_STORE

template <class T>
inline T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T max(T a, T b) {
  return a < b ? b : a;
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / sqrt(static_cast<double>(x))); }
inline float rsqrtf(float x) { return __frsqrt_rn(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __saturatef(float x) { return x > 0.0f ? fminf(x, 1.0f) : 0.0f; }
inline void sincospif(float x, float* sine, float* cosine) {
  *sine = static_cast<float>(sin(M_PI * static_cast<double>(x)));
  *cosine = static_cast<float>(cos(M_PI * static_cast<double>(x)));
}

inline int __float_as_int(float x) { return ::cuda_sim::bit_copy<int>(x); }
inline unsigned __float_as_uint(float x) { return ::cuda_sim::bit_copy<unsigned>(x); }
inline float __int_as_float(int x) { return ::cuda_sim::bit_copy<float>(x); }
inline float __uint_as_float(unsigned x) { return ::cuda_sim::bit_copy<float>(x); }
inline long long __double_as_longlong(double x) { return ::cuda_sim::bit_copy<long long>(x); }
inline double __longlong_as_double(long long x) { return ::cuda_sim::bit_copy<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(int64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline void __nanosleep(unsigned) {}
