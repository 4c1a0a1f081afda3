// y = (x - mean) rstd weight + bias for the rows of x (rows, cols), rstd = 1 / sqrt(var + eps), and the gradients.

#include "norm.cuh"

extern "C" __global__ void __launch_bounds__(128)
    layer_norm_forward_warp(Real* y, float* mean, float* rstd, const Real* x, const Real* weight, const Real* bias,
                            float eps, long long rows, int cols) {
  const Size row = warp_row(), at = row * cols;
  if (row >= rows) return;
  const RowStatistics found = norm_row<Warp, true>(y + at, x + at, weight, bias, eps, cols);
  if (Warp::rank() == 0) mean[row] = found.mean, rstd[row] = found.rstd;
}

extern "C" __global__ void __launch_bounds__(256)
    layer_norm_forward_block(Real* y, float* mean, float* rstd, const Real* x, const Real* weight, const Real* bias,
                             float eps, int cols) {
  const Size row = blockIdx.x, at = row * cols;
  const RowStatistics found = norm_row<Block, true>(y + at, x + at, weight, bias, eps, cols);
  if (threadIdx.x == 0) mean[row] = found.mean, rstd[row] = found.rstd;
}

extern "C" __global__ void __launch_bounds__(128)
    layer_norm_backward_warp(Real* dx, const Real* dy, const Real* x, const Real* weight, const float* mean,
                             const float* rstd, long long rows, int cols) {
  const Size row = warp_row(), at = row * cols;
  if (row >= rows) return;
  norm_row_backward<Warp, true>(dx + at, dy + at, x + at, weight, {mean[row], rstd[row]}, cols);
}

extern "C" __global__ void __launch_bounds__(256)
    layer_norm_backward_block(Real* dx, const Real* dy, const Real* x, const Real* weight, const float* mean,
                              const float* rstd, int cols) {
  const Size row = blockIdx.x, at = row * cols;
  norm_row_backward<Block, true>(dx + at, dy + at, x + at, weight, {mean[row], rstd[row]}, cols);
}

extern "C" __global__ void __launch_bounds__(256)
    layer_norm_backward_columns(Real* dw, Real* db, const Real* dy, const Real* x, const float* mean, const float* rstd,
                                long long rows, int cols) {
  norm_columns_backward(dw, db, dy, x, mean, rstd, rows, cols);
}
