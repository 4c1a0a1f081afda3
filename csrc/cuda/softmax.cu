// softmax and log_softmax along n of x (outer, n, inner), and their gradients. A row is what runs along n: `cols`
// elements, `step` = inner apart.
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
__device__ __forceinline__ Online peak_and_total(const Real* x, int cols, Size step) {
  Online mine{-INFINITY, 0.0f};
  for_columns<Group>(cols, [&](int c) { mine.add(wide(x[c * step])); });
  const float peak = largest<Group>(mine.peak);
  const float scaled = mine.peak == -INFINITY ? mine.total : mine.total * expf(mine.peak - peak);
  return {peak, sum<Group>(scaled)};
}

struct Softmax {
  template <class Group>
  static __device__ __forceinline__ void forward(Real* y, const Real* x, int cols, Size step) {
    const Online all = peak_and_total<Group>(x, cols, step);
    for_columns<Group>(cols, [&](int c) { y[c * step] = expf(wide(x[c * step]) - all.peak) / all.total; });
  }

  template <class Group>
  static __device__ __forceinline__ void backward(Real* dx, const Real* dy, const Real* y, int cols, Size step) {
    float dot = 0.0f;
    for_columns<Group>(cols, [&](int c) { dot += wide(dy[c * step]) * wide(y[c * step]); });
    dot = sum<Group>(dot);
    for_columns<Group>(cols, [&](int c) { dx[c * step] = wide(y[c * step]) * (wide(dy[c * step]) - dot); });
  }
};

struct LogSoftmax {
  template <class Group>
  static __device__ __forceinline__ void forward(Real* y, const Real* x, int cols, Size step) {
    const Online all = peak_and_total<Group>(x, cols, step);
    const float log_total = logf(all.total);
    for_columns<Group>(cols, [&](int c) { y[c * step] = wide(x[c * step]) - all.peak - log_total; });
  }

  template <class Group>
  static __device__ __forceinline__ void backward(Real* dx, const Real* dy, const Real* y, int cols, Size step) {
    float total = 0.0f;
    for_columns<Group>(cols, [&](int c) { total += wide(dy[c * step]); });
    total = sum<Group>(total);
    for_columns<Group>(cols, [&](int c) { dx[c * step] = wide(dy[c * step]) - expf(wide(y[c * step])) * total; });
  }
};

// Where a row begins.
__device__ __forceinline__ Size start_of(Size row, int cols, Size inner) {
  return row / inner * inner * cols + row % inner;
}

}  // namespace

#define ROWS(NAME, OP)                                                                                           \
  extern "C" __global__ void __launch_bounds__(128)                                                              \
      NAME##_forward_warp(Real* y, const Real* x, long long rows, int cols, long long inner) {                   \
    const Size row = warp_row(), at = start_of(row, cols, inner);                                                \
    if (row < rows) OP::forward<Warp>(y + at, x + at, cols, inner);                                              \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                              \
      NAME##_forward_block(Real* y, const Real* x, int cols, long long inner) {                                  \
    const Size at = start_of(blockIdx.x, cols, inner);                                                           \
    OP::forward<Block>(y + at, x + at, cols, inner);                                                             \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(128)                                                              \
      NAME##_backward_warp(Real* dx, const Real* dy, const Real* y, long long rows, int cols, long long inner) { \
    const Size row = warp_row(), at = start_of(row, cols, inner);                                                \
    if (row < rows) OP::backward<Warp>(dx + at, dy + at, y + at, cols, inner);                                   \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                              \
      NAME##_backward_block(Real* dx, const Real* dy, const Real* y, int cols, long long inner) {                \
    const Size at = start_of(blockIdx.x, cols, inner);                                                           \
    OP::backward<Block>(dx + at, dy + at, y + at, cols, inner);                                                  \
  }

ROWS(softmax, Softmax)
ROWS(log_softmax, LogSoftmax)
