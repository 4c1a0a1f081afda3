// The same tile, but on packed blocks (packed.h): one panel of b stays in the first-level cache while the strips of a,
// in the second-level cache, pass by.

constexpr long kRows = 4, kCols = 16;

static void tile(float* __restrict out, const float* __restrict a, const float* __restrict b, long depth) {
  float sum[kRows][kCols] = {};
  for (long p = 0; p < depth; ++p)
#pragma GCC unroll 4
    for (long i = 0; i < kRows; ++i)
#pragma GCC unroll 16
      for (long j = 0; j < kCols; ++j) sum[i][j] += a[p * kRows + i] * b[p * kCols + j];
  for (long i = 0; i < kRows; ++i)
    for (long j = 0; j < kCols; ++j) out[i * kCols + j] = sum[i][j];
}

#include "packed.h"
