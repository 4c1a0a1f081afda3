// y_i = weight[index_i] for weight (rows, cols) and index (n), zeros where that is no row, and dw = the sum of dy_i
// over those i with index_i = row.
//
// The sum has no atomics, so its bits do not depend on what runs first: a warp owns a row of dw, looks through all of
// index 32 at a time, and adds what is its own in order. Where that would be too much to look through, the index is
// sorted (`_keys`, `_count`, `_offsets`, `_scatter`, see radix.cuh), and `_sum` finds what belongs to a row side by
// side.

#include "radix.cuh"

extern "C" __global__ void __launch_bounds__(256)
    embedding_forward(Real* y, const Real* weight, const long long* index, long long n, long long rows, int cols) {
  const Size all = n * cols, step = static_cast<Size>(gridDim.x) * blockDim.x;
  for (Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const Size row = index[i / cols];
    y[i] = row >= 0 && row < rows ? wide(weight[row * cols + i % cols]) : 0.0f;
  }
}

// blockIdx.y: which 32 columns
extern "C" __global__ void __launch_bounds__(128)
    embedding_backward(Real* dw, const Real* dy, const long long* index, long long n, long long rows, int cols) {
  const Size row = warp_row();
  if (row >= rows) return;
  const int lane = Warp::rank(), column = blockIdx.y * kWarp + lane;
  float sum = 0.0f;
  for (Size begin = 0; begin < n; begin += kWarp) {
    const bool mine = begin + lane < n && index[begin + lane] == row;
    for (unsigned left = __ballot_sync(kAllLanes, mine); left; left &= left - 1) {
      const Size i = begin + __ffs(static_cast<int>(left)) - 1;
      if (column < cols) sum += wide(dy[i * cols + column]);
    }
  }
  if (column < cols) dw[row * cols + column] = sum;
}

// Sorted -------------------------------------------------------------------------------------------------------------

// What is no row counts as one behind the last.
extern "C" __global__ void __launch_bounds__(256)
    embedding_backward_keys(unsigned* keys, int* places, const long long* index, int n, long long rows) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) keys[i] = static_cast<unsigned>(index[i] >= 0 && index[i] < rows ? index[i] : rows), places[i] = i;
}

extern "C" __global__ void __launch_bounds__(256)
    embedding_backward_count(int* counts, const unsigned* keys, int n, int tiles, int shift) {
  count_digits(counts, keys, n, tiles, shift);
}

extern "C" __global__ void __launch_bounds__(256) embedding_backward_offsets(int* counts, long long length) {
  sum_counts(counts, length);
}

extern "C" __global__ void __launch_bounds__(256)
    embedding_backward_scatter(unsigned* keys_out, int* places_out, const unsigned* keys, const int* places,
                               const int* offsets, int n, int tiles, int shift) {
  scatter_digits(keys_out, places_out, keys, places, offsets, n, tiles, shift);
}

// A thread for each element of dw: it looks for the first key that is its row, and adds as long as they are.
extern "C" __global__ void __launch_bounds__(256)
    embedding_backward_sum(Real* dw, const Real* dy, const unsigned* keys, const int* places, int n, long long size,
                           int cols) {
  const Size at = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const unsigned row = static_cast<unsigned>(at / cols);
  int first = 0;
  for (int left = n; left > 0;) {
    const int half = left / 2;
    if (keys[first + half] < row)
      first += half + 1, left -= half + 1;
    else
      left = half;
  }
  float sum = 0.0f;
  for (int i = first; i < n && keys[i] == row; ++i) sum += wide(dy[static_cast<Size>(places[i]) * cols + at % cols]);
  dw[at] = sum;
}
