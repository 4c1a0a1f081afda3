// y (rows, out) = x (rows, in) w^T + bias, w (out, in), alone or with relu behind it, and what their gradients need
// beside products of matrices. bias may be null.

#include "gemm.cuh"

namespace {

// y = finish(x w^T + bias)
template <class Finish>
__device__ __forceinline__ void product(float* y, const float* x, const float* w, const float* bias, int rows, int out,
                                        int in, const Finish& finish) {
  const auto load_x = [=](int row, int d) { return x[static_cast<Size>(row) * in + d]; };
  const auto load_w = [=](int d, int column) { return w[static_cast<Size>(column) * in + d]; };
  gemm<Along::depth, Along::depth>(rows, out, in, load_x, load_w, [=](float sum, int row, int column) {
    y[static_cast<Size>(row) * out + column] = finish(bias ? sum + bias[column] : sum);
  });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    linear_forward(float* y, const float* x, const float* w, const float* bias, int rows, int out, int in) {
  product(y, x, w, bias, rows, out, in, [](float z) { return z; });
}

extern "C" __global__ void __launch_bounds__(256)
    linear_relu_forward(float* y, const float* x, const float* w, const float* bias, int rows, int out, int in) {
  product(y, x, w, bias, rows, out, in, [](float z) { return z <= 0.0f ? 0.0f : z; });  // NaN passes
}

namespace {

// For 32 columns by a block (32, 8): g = value(row, column), and the sum of g over the rows, in their order.
template <class Value>
__device__ __forceinline__ void sum_columns(float* total, Size rows, int cols, const Value& value) {
  __shared__ float parts[8][kWarp];
  const int c = blockIdx.x * kWarp + threadIdx.x;
  float sum = 0.0f;
  for (Size r = threadIdx.y; r < rows && c < cols; r += 8) sum += value(r * cols + c);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= cols) return;
  for (int i = 1; i < 8; ++i) sum += parts[i][threadIdx.x];
  if (total) total[c] = sum;
}

}  // namespace

// g = dy where y > 0, else 0; dbias (or null) = sum of g over the rows
extern "C" __global__ void __launch_bounds__(256)
    linear_relu_backward(float* g, float* dbias, const float* dy, const float* y, long long rows, int out) {
  sum_columns(dbias, rows, out, [=](Size i) { return g[i] = y[i] > 0.0f ? dy[i] : 0.0f; });
}

extern "C" __global__ void __launch_bounds__(256)
    linear_backward_bias(float* dbias, const float* dy, long long rows, int out) {
  sum_columns(dbias, rows, out, [=](Size i) { return dy[i]; });
}
