// softmax and log_softmax of the rows of x (rows, cols), and their gradients.
//
// Forward is online: one pass finds the largest element and the sum of exp(x - largest) together, by scaling the sum
// down whenever a larger element comes along (Milakov and Gimelshein, 2018); a second pass writes. `_warp` gives each
// row to a warp, `_block`, for long rows, to a block.

#include "common.cuh"

namespace {

// The largest element so far, and the sum of exp(x - peak).
struct Online {
  float peak, total;

  __device__ __forceinline__ void add(float x) {
    if (x == -INFINITY) return;  // adds nothing, and inf - inf would be nan
    const float higher = fmaxf(peak, x);
    total = total * expf(peak - higher) + expf(x - higher);
    peak = higher;
  }
};

template <class Group>
__device__ __forceinline__ Online peak_and_total(const float* x, int cols) {
  Online mine{-INFINITY, 0.0f};
  for_columns<Group>(cols, [&](int c) { mine.add(x[c]); });
  const float peak = largest<Group>(mine.peak);
  const float scaled = mine.peak == -INFINITY ? mine.total : mine.total * expf(mine.peak - peak);
  return {peak, sum<Group>(scaled)};
}

struct Softmax {
  template <class Group>
  static __device__ __forceinline__ void forward(float* y, const float* x, int cols) {
    const Online all = peak_and_total<Group>(x, cols);
    for_columns<Group>(cols, [&](int c) { y[c] = expf(x[c] - all.peak) / all.total; });
  }

  template <class Group>
  static __device__ __forceinline__ void backward(float* dx, const float* dy, const float* y, int cols) {
    float dot = 0.0f;
    for_columns<Group>(cols, [&](int c) { dot += dy[c] * y[c]; });
    dot = sum<Group>(dot);
    for_columns<Group>(cols, [&](int c) { dx[c] = y[c] * (dy[c] - dot); });
  }
};

struct LogSoftmax {
  template <class Group>
  static __device__ __forceinline__ void forward(float* y, const float* x, int cols) {
    const Online all = peak_and_total<Group>(x, cols);
    const float log_total = logf(all.total);
    for_columns<Group>(cols, [&](int c) { y[c] = x[c] - all.peak - log_total; });
  }

  template <class Group>
  static __device__ __forceinline__ void backward(float* dx, const float* dy, const float* y, int cols) {
    float total = 0.0f;
    for_columns<Group>(cols, [&](int c) { total += dy[c]; });
    total = sum<Group>(total);
    for_columns<Group>(cols, [&](int c) { dx[c] = dy[c] - expf(y[c]) * total; });
  }
};

}  // namespace

#define ROWS(NAME, OP)                                                                                         \
  extern "C" __global__ void __launch_bounds__(128)                                                            \
      NAME##_forward_warp(float* y, const float* x, long long rows, int cols) {                                \
    const Size row = warp_row();                                                                               \
    if (row < rows) OP::forward<Warp>(y + row * cols, x + row * cols, cols);                                   \
  }                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256) NAME##_forward_block(float* y, const float* x, int cols) { \
    const Size at = static_cast<Size>(blockIdx.x) * cols;                                                      \
    OP::forward<Block>(y + at, x + at, cols);                                                                  \
  }                                                                                                            \
  extern "C" __global__ void __launch_bounds__(128)                                                            \
      NAME##_backward_warp(float* dx, const float* dy, const float* y, long long rows, int cols) {             \
    const Size row = warp_row(), at = row * cols;                                                              \
    if (row < rows) OP::backward<Warp>(dx + at, dy + at, y + at, cols);                                        \
  }                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256)                                                            \
      NAME##_backward_block(float* dx, const float* dy, const float* y, int cols) {                            \
    const Size at = static_cast<Size>(blockIdx.x) * cols;                                                      \
    OP::backward<Block>(dx + at, dy + at, y + at, cols);                                                       \
  }

ROWS(softmax, Softmax)
ROWS(log_softmax, LogSoftmax)
