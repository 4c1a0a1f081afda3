// The vector types of CUDA (float4, int2, ...), with its sizes and alignments.
#pragma once

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// `ALIGN` is the alignment of the pair; a quadruple has twice that, but never more than 16 bytes.
#define CUDA_SIM_VECTORS(T, NAME, ALIGN)                                     \
  struct alignas(ALIGN) NAME##2 { T x, y; };                                 \
  struct NAME##3 { T x, y, z; };                                             \
  struct alignas(2 * ALIGN > 16 ? 16 : 2 * ALIGN) NAME##4 { T x, y, z, w; }; \
  inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                 \
  inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }         \
  inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_SIM_VECTORS(signed char, char, 2)
CUDA_SIM_VECTORS(unsigned char, uchar, 2)
CUDA_SIM_VECTORS(short, short, 4)
CUDA_SIM_VECTORS(unsigned short, ushort, 4)
CUDA_SIM_VECTORS(int, int, 8)
CUDA_SIM_VECTORS(unsigned, uint, 8)
CUDA_SIM_VECTORS(long long, longlong, 16)
CUDA_SIM_VECTORS(unsigned long long, ulonglong, 16)
CUDA_SIM_VECTORS(float, float, 8)
CUDA_SIM_VECTORS(double, double, 16)
#undef CUDA_SIM_VECTORS
