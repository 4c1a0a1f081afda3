// y = the largest of relu(batch_norm(x)) in each square of 2 x 2 pixels of x (n, c, h, w), its gradient, and code:
// which of the four the largest is, row by row, 4 where none is above zero. What lies between is never written.
//
// A block finds the statistics of a channel, or the sums of its gradient; then each element has a thread.

#include "batch_norm.cuh"

struct Squares {
  int channels, h, w, rows, cols;  // rows, cols: of squares
};

namespace {

constexpr int kNone = 4;

// The square that an element of y is of, and where its first pixel lies in x.
struct Square {
  int channel;
  Size corner;

  __device__ __forceinline__ Square(const Squares& s, Size at) {
    const int squares = s.rows * s.cols;
    const Size plane = at / squares;
    const int rest = static_cast<int>(at - plane * squares), row = rest / s.cols, column = rest % s.cols;
    channel = static_cast<int>(plane % s.channels);
    corner = (plane * s.h + 2 * row) * s.w + 2 * column;
  }
};

__device__ __forceinline__ Size pixel(const Squares& s, Size corner, int which) {
  return corner + which / 2 * s.w + which % 2;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_relu_pool_forward_statistics(float* mean, float* var, const Real* x, long long n, int channels,
                                            long long s) {
  channel_statistics(mean, var, x, n, channels, s);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_relu_pool_forward(Real* y, unsigned char* code, const Real* x, const float* mean, const float* var,
                                 const Real* weight, const Real* bias, float eps, long long size, const Squares s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const Square at(s, i);
  const int c = at.channel;
  const float scale = rstd_of(var[c], eps) * (weight ? wide(weight[c]) : 1.0f), shift = bias ? wide(bias[c]) : 0.0f;
  float best = 0.0f;
  int which = kNone;
  for (int k = 0; k < 4; ++k) {
    const float value = (wide(x[pixel(s, at.corner, k)]) - mean[c]) * scale + shift;
    if (value > best) best = value, which = k;
    if (value != value) best = value, which = kNone;  // NaN stays: nothing is larger
  }
  y[i] = best, code[i] = static_cast<unsigned char>(which);
}

// across = sum of g xhat, which is dw, and along = sum of g, which is db, of which dw and db may be null; g is dy where
// the code says, 0 elsewhere
extern "C" __global__ void __launch_bounds__(256, 4)
    batch_norm_relu_pool_backward_sums(float* across, float* along, Real* dw, Real* db, const Real* dy,
                                       const unsigned char* code, const Real* x, const float* mean, const float* var,
                                       float eps, long long n, const Squares s) {
  const float center = mean[blockIdx.x], rstd = rstd_of(var[blockIdx.x], eps);
  float products = 0.0f, total = 0.0f;
  for_channel(n, s.channels, static_cast<Size>(s.rows) * s.cols, [&](Size i) {
    if (code[i] == kNone) return;
    const float g = dy[i];
    products += g * ((wide(x[pixel(s, Square(s, i).corner, code[i])]) - center) * rstd), total += g;
  });
  keep_channel_sums(across, along, dw, db, products, total);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_relu_pool_backward_input(Real* dx, const Real* dy, const unsigned char* code, const Real* x,
                                        const Real* weight, const float* mean, const float* var, const float* across,
                                        const float* along, float eps, long long size, const Squares s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int column = static_cast<int>(i % s.w), row = static_cast<int>(i / s.w % s.h);
  const Size plane = i / (static_cast<Size>(s.h) * s.w), square = (plane * s.rows + row / 2) * s.cols + column / 2;
  const int c = static_cast<int>(plane % s.channels);
  const bool inside = row / 2 < s.rows && column / 2 < s.cols;
  const float g = inside && code[square] == row % 2 * 2 + column % 2 ? wide(dy[square]) : 0.0f;
  const float count = static_cast<float>(size / s.channels), rstd = rstd_of(var[c], eps);
  const float xhat = (wide(x[i]) - mean[c]) * rstd;
  dx[i] = (g - along[c] / count - xhat * (across[c] / count)) * rstd * (weight ? wide(weight[c]) : 1.0f);
}
