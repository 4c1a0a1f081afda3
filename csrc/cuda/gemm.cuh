// y (batch, m, n) = a (batch, m, k) b (batch, k, n), any sizes and any strides of a and b, so that a transposed matrix
// is one with its strides swapped. A block of 256 threads computes 64 x 64 results, each thread 4 x 4 of them in
// registers, from tiles of 16 along k in shared memory; the sum over k runs in order.
#pragma once

#include "common.cuh"

constexpr int kTile = 64, kDepth = 16, kOwn = 4;

// Steps in elements; a batch step of 0 is one matrix for all.
struct Operands {
  long long a_batch, a_row, a_column, b_batch, b_row, b_column;
};

namespace {

// finish(sum, row, column) is what is stored.
template <class Finish>
__device__ __forceinline__ void gemm(float* y, const float* a, const float* b, int m, int n, int k,
                                     const Operands& steps, const Finish& finish) {
  __shared__ float a_tile[kDepth][kTile + 4];  // padded: neighbouring rows begin in other banks
  __shared__ float b_tile[kDepth][kTile + 4];
  const int t = threadIdx.x, row = t / 16 * kOwn, column = t % 16 * kOwn;
  const int row0 = blockIdx.y * kTile, column0 = blockIdx.x * kTile;
  a += blockIdx.z * steps.a_batch;
  b += blockIdx.z * steps.b_batch;
  float sums[kOwn][kOwn] = {};
  for (int k0 = 0; k0 < k; k0 += kDepth) {
    for (int i = t; i < kTile * kDepth; i += 256) {
      // neighbouring threads read neighbours in memory, whichever way the matrix lies
      const int ar = steps.a_column == 1 ? i / kDepth : i % kTile, ak = steps.a_column == 1 ? i % kDepth : i / kTile;
      const int bc = steps.b_column == 1 ? i % kTile : i / kDepth, bk = steps.b_column == 1 ? i / kTile : i % kDepth;
      const bool a_there = row0 + ar < m && k0 + ak < k, b_there = column0 + bc < n && k0 + bk < k;
      a_tile[ak][ar] = a_there ? a[(row0 + ar) * steps.a_row + (k0 + ak) * steps.a_column] : 0.0f;
      b_tile[bk][bc] = b_there ? b[(k0 + bk) * steps.b_row + (column0 + bc) * steps.b_column] : 0.0f;
    }
    __syncthreads();
    const int depth = k - k0 < kDepth ? k - k0 : kDepth;
    for (int d = 0; d < depth; ++d) {
      float left[kOwn], right[kOwn];
#pragma unroll
      for (int i = 0; i < kOwn; ++i) left[i] = a_tile[d][row + i], right[i] = b_tile[d][column + i];
#pragma unroll
      for (int i = 0; i < kOwn; ++i)
#pragma unroll
        for (int j = 0; j < kOwn; ++j) sums[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
  y += static_cast<Size>(blockIdx.z) * m * n;
#pragma unroll
  for (int i = 0; i < kOwn; ++i)
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const int r = row0 + row + i, c = column0 + column + j;
      if (r < m && c < n) y[static_cast<Size>(r) * n + c] = finish(sums[i][j], r, c);
    }
}

}  // namespace
