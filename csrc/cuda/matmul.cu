// y (batch, m, n) = a (batch or 1, m, k) b (batch or 1, k, n), each stored with its last two dimensions swapped or not.
//
// Two rungs: `_naive`, a thread for each result straight from memory, is the one to read first and serves small
// products; `_tiled` (gemm.cuh) reads each element of a and b once for 64 results.

#include "gemm.cuh"

// Steps in elements; a batch step of 0 is one matrix for all.
struct Operands {
  long long a_batch, a_row, a_column, b_batch, b_row, b_column;
};

extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_naive(float* y, const float* a, const float* b, long long batch, int m, int n, int k,
                         const Operands steps) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= batch * m * n) return;
  const Size column = i % n, row = i / n % m, z = i / n / m;
  a += z * steps.a_batch + row * steps.a_row;
  b += z * steps.b_batch + column * steps.b_column;
  float sum = 0.0f;
  for (int d = 0; d < k; ++d) sum += a[d * steps.a_column] * b[d * steps.b_row];
  y[i] = sum;
}

// The matrices lie in rows or, where they are transposed, in columns: neighbours in memory are loaded by neighbours.
#define TILED(NAME, A, B)                                                                         \
  extern "C" __global__ void __launch_bounds__(256, 4)                                            \
      NAME(float* y, const float* a, const float* b, int m, int n, int k, const Operands steps) { \
    a += blockIdx.z * steps.a_batch;                                                              \
    b += blockIdx.z * steps.b_batch;                                                              \
    y += static_cast<Size>(blockIdx.z) * m * n;                                                   \
    gemm<A, B>(                                                                                   \
        m, n, k, [&](int row, int d) { return a[row * steps.a_row + d * steps.a_column]; },       \
        [&](int d, int column) { return b[d * steps.b_row + column * steps.b_column]; },          \
        [&](float sum, int row, int column) { y[static_cast<Size>(row) * n + column] = sum; });   \
  }

TILED(matmul_forward_tiled_rows_rows, Along::depth, Along::width)
TILED(matmul_forward_tiled_rows_columns, Along::depth, Along::depth)
TILED(matmul_forward_tiled_columns_rows, Along::width, Along::width)
TILED(matmul_forward_tiled_columns_columns, Along::width, Along::depth)
