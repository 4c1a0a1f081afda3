// y_i = weight[index_i] for weight (rows, cols) and index (n), zeros where that is no row, and dw = the sum of dy_i
// over those i with index_i = row.
//
// The sum has no atomics, so its bits do not depend on what runs first: a warp owns a row of dw, looks through all of
// index 32 at a time, and adds what is its own in order.

#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
    embedding_forward(float* y, const float* weight, const long long* index, long long n, long long rows, int cols) {
  const Size all = n * cols, step = static_cast<Size>(gridDim.x) * blockDim.x;
  for (Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const Size row = index[i / cols];
    y[i] = row >= 0 && row < rows ? weight[row * cols + i % cols] : 0.0f;
  }
}

// blockIdx.y: which 32 columns
extern "C" __global__ void __launch_bounds__(128)
    embedding_backward(float* dw, const float* dy, const long long* index, long long n, long long rows, int cols) {
  const Size row = warp_row();
  if (row >= rows) return;
  const int lane = Warp::rank(), column = blockIdx.y * kWarp + lane;
  float sum = 0.0f;
  for (Size begin = 0; begin < n; begin += kWarp) {
    const bool mine = begin + lane < n && index[begin + lane] == row;
    for (unsigned left = __ballot_sync(kAllLanes, mine); left; left &= left - 1) {
      const Size i = begin + __ffs(static_cast<int>(left)) - 1;
      if (column < cols) sum += dy[i * cols + column];
    }
  }
  if (column < cols) dw[row * cols + column] = sum;
}
