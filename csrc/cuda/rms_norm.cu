// y = x rstd weight for the rows of x (rows, cols), rstd = 1 / sqrt(mean x^2 + eps), and the gradients.

#include "norm.cuh"

extern "C" __global__ void __launch_bounds__(128)
    rms_norm_forward_warp(Real* y, float* rstd, const Real* x, const Real* weight, float eps, long long rows,
                          int cols) {
  const Size row = warp_row(), at = row * cols;
  if (row >= rows) return;
  const RowStatistics found = norm_row<Warp, false>(y + at, x + at, weight, nullptr, eps, cols);
  if (Warp::rank() == 0) rstd[row] = found.rstd;
}

extern "C" __global__ void __launch_bounds__(256)
    rms_norm_forward_block(Real* y, float* rstd, const Real* x, const Real* weight, float eps, int cols) {
  const Size row = blockIdx.x, at = row * cols;
  const RowStatistics found = norm_row<Block, false>(y + at, x + at, weight, nullptr, eps, cols);
  if (threadIdx.x == 0) rstd[row] = found.rstd;
}

extern "C" __global__ void __launch_bounds__(128)
    rms_norm_backward_warp(Real* dx, const Real* dy, const Real* x, const Real* weight, const float* rstd,
                           long long rows, int cols) {
  const Size row = warp_row(), at = row * cols;
  if (row >= rows) return;
  norm_row_backward<Warp, false>(dx + at, dy + at, x + at, weight, {0.0f, rstd[row]}, cols);
}

extern "C" __global__ void __launch_bounds__(256)
    rms_norm_backward_block(Real* dx, const Real* dy, const Real* x, const Real* weight, const float* rstd, int cols) {
  const Size row = blockIdx.x, at = row * cols;
  norm_row_backward<Block, false>(dx + at, dy + at, x + at, weight, {0.0f, rstd[row]}, cols);
}

extern "C" __global__ void __launch_bounds__(256)
    rms_norm_backward_columns(Real* dw, const Real* dy, const Real* x, const float* rstd, long long rows, int cols) {
  norm_columns_backward(dw, nullptr, dy, x, nullptr, rstd, rows, cols);
}
