// The tile as 6 x 2 vectors, spelled out for the compiler: 12 accumulators, 2 vectors of b and one number of a are 15
// of the 16 registers of AVX2, and 12 multiply-adds are in flight where the processor needs 8 to 10 to stay busy.

#include <cstring>

#ifndef ROWS
#define ROWS 6
#define VECTORS 2
#endif

typedef float Vector __attribute__((vector_size(32)));
constexpr long kRows = ROWS, kCols = 8 * VECTORS;

static void tile(float* __restrict out, const float* a, const float* b, long depth) {
  Vector sum[ROWS][VECTORS] = {};
  for (long p = 0; p < depth; ++p, a += kRows, b += kCols) {
    Vector row[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) std::memcpy(&row[v], b + 8 * v, 32);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[i][v] += a[i] * row[v];
  }
  std::memcpy(out, sum, sizeof sum);
}

#include "packed.h"
