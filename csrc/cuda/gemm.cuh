// y (m, n) = a (m, k) b (k, n) for any sizes, a and b being functions of (row, column): matrices in any strides, or
// images seen through the windows of a convolution. A block of 256 threads computes 64 x 64 results, each thread 4 x 4
// of them in registers, from tiles of 16 along k in shared memory; the sum over k runs in order.
#pragma once

#include "common.cuh"

constexpr int kTile = 64, kDepth = 16, kOwn = 4;

namespace {

// What is loaded side by side by neighbouring threads: neighbours along k, or along m (of a) and n (of b).
enum class Along { depth, width };

// The first result of this block. Blocks are counted down the columns of bands, kBand tiles high: those that run at the
// same time want few rows of a and few columns of b, which then are read from the L2 cache.
constexpr int kBand = 8;

template <int Rows, int Columns, class Index>
struct Corner {
  Index row, column;

  __device__ __forceinline__ Corner(Index m, Index n) {
    const int down = static_cast<int>((m + Rows - 1) / Rows), across = static_cast<int>((n + Columns - 1) / Columns);
    const int band = blockIdx.x / (kBand * across), inside = blockIdx.x % (kBand * across);
    const int height = down - band * kBand < kBand ? down - band * kBand : kBand;
    row = (band * kBand + inside % height) * static_cast<Index>(Rows);
    column = inside / height * static_cast<Index>(Columns);
  }
};

// load_a(row, k), load_b(k, column), store(sum, row, column), all of them counted by an Index
template <Along A, Along B, class Index, class LoadA, class LoadB, class Store>
__device__ __forceinline__ void gemm(Index m, Index n, Index k, const LoadA& load_a, const LoadB& load_b,
                                     const Store& store) {
  __shared__ float a_tile[kDepth][kTile + 4];  // padded: neighbouring rows begin in other banks
  __shared__ float b_tile[kDepth][kTile + 4];
  const int t = threadIdx.x, row = t / 16 * kOwn, column = t % 16 * kOwn;
  const Corner<kTile, kTile, Index> corner(m, n);
  const Index row0 = corner.row, column0 = corner.column;
  float sums[kOwn][kOwn] = {};
  for (Index k0 = 0; k0 < k; k0 += kDepth) {
    for (int i = t; i < kTile * kDepth; i += 256) {
      const int ar = A == Along::depth ? i / kDepth : i % kTile, ak = A == Along::depth ? i % kDepth : i / kTile;
      const int bc = B == Along::depth ? i / kDepth : i % kTile, bk = B == Along::depth ? i % kDepth : i / kTile;
      const bool a_there = row0 + ar < m && k0 + ak < k, b_there = column0 + bc < n && k0 + bk < k;
      a_tile[ak][ar] = a_there ? load_a(row0 + ar, k0 + ak) : 0.0f;
      b_tile[bk][bc] = b_there ? load_b(k0 + bk, column0 + bc) : 0.0f;
    }
    __syncthreads();
    const int depth = k - k0 < kDepth ? static_cast<int>(k - k0) : kDepth;
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
#pragma unroll
  for (int i = 0; i < kOwn; ++i)
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const Index r = row0 + row + i, c = column0 + column + j;
      if (r < m && c < n) store(sums[i][j], r, c);
    }
}

}  // namespace
