// The rung "wmma": y (m, n) = a (m, k) b (k, n) on tensor cores by CUDA's own API for them, nvcuda::wmma.
//
// A block of 4 warps computes 64 x 64 results, each warp 32 x 32 in four fragments, from tiles of 32 along k, whose
// rows are padded so that neighbouring ones begin in other banks. Loads, products and stores wait for each other.
#pragma once

#include <mma.h>

#include "finish.cuh"

namespace {

struct Wmma {
  static constexpr int kSide = 64, kDepth = 32, kThreads = 128, kOwn = 32;
  static constexpr int kARow = kDepth + 8, kBRow = kSide + 8, kResultRow = kSide + 8;
};

// Results of the block at (row0, column0); element (i, j) of a is a[i * a_row + j * a_column], b likewise.
template <class T>
__device__ __forceinline__ void wmma_product(const Finish<T>& finish, const T* a, Size a_row, Size a_column, const T* b,
                                             Size b_row, Size b_column, int k, int row0, int column0) {
  using namespace nvcuda::wmma;
  __shared__ __align__(128) T a_tile[Wmma::kSide * Wmma::kARow];
  __shared__ __align__(128) T b_tile[Wmma::kDepth * Wmma::kBRow];
  __shared__ __align__(128) float results[Wmma::kSide * Wmma::kResultRow];
  const int t = threadIdx.x, warp = t / kWarp, row = warp / 2 * Wmma::kOwn, column = warp % 2 * Wmma::kOwn;
  fragment<accumulator, 16, 16, 16, float> sums[2][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) fill_fragment(sums[i / 2][i % 2], 0.0f);
  for (int k0 = 0; k0 < k; k0 += Wmma::kDepth) {
    for (int i = t; i < Wmma::kSide * Wmma::kDepth; i += Wmma::kThreads) {
      const int r = i / Wmma::kDepth, d = i % Wmma::kDepth, d_b = i / Wmma::kSide, c = i % Wmma::kSide;
      const bool a_there = row0 + r < finish.rows && k0 + d < k, b_there = column0 + c < finish.columns && k0 + d_b < k;
      a_tile[r * Wmma::kARow + d] = a_there ? a[(row0 + r) * a_row + (k0 + d) * a_column] : static_cast<T>(0.0f);
      b_tile[d_b * Wmma::kBRow + c] = b_there ? b[(k0 + d_b) * b_row + (column0 + c) * b_column] : static_cast<T>(0.0f);
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < Wmma::kDepth; d += 16) {
      fragment<matrix_a, 16, 16, 16, T, row_major> left[2];
      fragment<matrix_b, 16, 16, 16, T, row_major> right[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        load_matrix_sync(left[i], a_tile + (row + 16 * i) * Wmma::kARow + d, Wmma::kARow);
        load_matrix_sync(right[i], b_tile + d * Wmma::kBRow + column + 16 * i, Wmma::kBRow);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) mma_sync(sums[i / 2][i % 2], left[i / 2], right[i % 2], sums[i / 2][i % 2]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
    store_matrix_sync(results + (row + i / 2 * 16) * Wmma::kResultRow + column + i % 2 * 16, sums[i / 2][i % 2],
                      Wmma::kResultRow, mem_row_major);
  __syncthreads();
  for (int i = t; i < Wmma::kSide * Wmma::kSide / 2; i += Wmma::kThreads) {
    const int r = i / (Wmma::kSide / 2), c = i % (Wmma::kSide / 2) * 2;
    finish.store_pair(row0 + r, column0 + c, *reinterpret_cast<const float2*>(results + r * Wmma::kResultRow + c));
  }
}

}  // namespace
