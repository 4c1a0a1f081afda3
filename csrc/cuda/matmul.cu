// y (batch, m, n) = a (batch or 1, m, k) b (batch or 1, k, n), each stored with its last two dimensions swapped or not.
//
// Two rungs: `_naive`, a thread for each result straight from memory, is the one to read first and serves small
// products; `_tiled` (gemm.cuh) reads each element of a and b once for 64 results.

#include "gemm.cuh"

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

extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_tiled(float* y, const float* a, const float* b, int m, int n, int k, const Operands steps) {
  gemm(y, a, b, m, n, k, steps, [](float sum, int, int) { return sum; });
}
