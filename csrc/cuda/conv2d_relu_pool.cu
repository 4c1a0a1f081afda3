// y = the largest of relu(conv2d(x, w) + bias) in each square of 2 x 2 outputs, and code: which of the four that is,
// row by row, 4 where none is above zero; the gradient of w and bias; and dy spread over the outputs of the
// convolution. x (n, in, h, w), w (out, in, kh, kw), y and code (n, out, rows, cols). Windows hold few elements.

#include "common.cuh"

struct Pooled {
  int in, out, h, w, kh, kw, rows, cols;
  int stride_h, stride_w, pad_h, pad_w, dil_h, dil_w;
};

namespace {

constexpr int kNone = 4, kChannels = 4, kTaps = 8;

// The window of output (row, column) begins at (top, left) of an image.
struct Window {
  int top, left;

  __device__ __forceinline__ Window(const Pooled& s, int row, int column)
      : top(row * s.stride_h - s.pad_h), left(column * s.stride_w - s.pad_w) {}
};

// x under a tap of a window, 0 in the padding. `image`: of all channels
__device__ __forceinline__ float pixel(const float* image, const Pooled& s, const Window& at, int tap) {
  const int channel = tap / (s.kh * s.kw), i = tap / s.kw % s.kh, j = tap % s.kw;
  const int r = at.top + i * s.dil_h, c = at.left + j * s.dil_w;
  if (r < 0 || r >= s.h || c < 0 || c >= s.w) return 0.0f;
  return image[(static_cast<Size>(channel) * s.h + r) * s.w + c];
}

}  // namespace

// A thread for each square and kChannels channels: x is read once for all of them. blockIdx.y: which channels
extern "C" __global__ void __launch_bounds__(128)
    conv2d_relu_pool_forward(float* y, unsigned char* code, const float* x, const float* w, const float* bias,
                             long long images, const Pooled s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, places = static_cast<Size>(s.rows) * s.cols;
  if (i >= images * places) return;
  const int row = static_cast<int>(i / s.cols % s.rows), column = static_cast<int>(i % s.cols);
  const int taps = s.in * s.kh * s.kw, first = blockIdx.y * kChannels;
  const float* image = x + i / places * s.in * s.h * s.w;
  float sums[4][kChannels] = {};
  for (int tap = 0; tap < taps; ++tap) {
    float weights[kChannels];
#pragma unroll
    for (int c = 0; c < kChannels; ++c) weights[c] = first + c < s.out ? w[(first + c) * taps + tap] : 0.0f;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float value = pixel(image, s, Window(s, 2 * row + k / 2, 2 * column + k % 2), tap);
#pragma unroll
      for (int c = 0; c < kChannels; ++c) sums[k][c] += value * weights[c];
    }
  }
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (first + c >= s.out) return;
    const float shift = bias ? bias[first + c] : 0.0f;
    float best = 0.0f;
    int which = kNone;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float value = sums[k][c] + shift;
      if (value > best) best = value, which = k;
      if (value != value) best = value, which = kNone;  // NaN stays: nothing is larger
    }
    const Size at = (i / places * s.out + first + c) * places + i % places;
    y[at] = best, code[at] = static_cast<unsigned char>(which);
  }
}

// parts (pieces, out, taps + 1): a block sums kTaps taps of an output channel over a piece of all squares; the last tap
// is the bias, under which stands 1. blockIdx.x: channel and taps, blockIdx.y: piece
extern "C" __global__ void __launch_bounds__(256)
    conv2d_relu_pool_backward_parts(float* parts, const float* dy, const unsigned char* code, const float* x,
                                    long long squares, long long length, const Pooled s) {
  const int taps = s.in * s.kh * s.kw, groups = taps / kTaps + 1;
  const int o = blockIdx.x / groups, first = blockIdx.x % groups * kTaps;
  const Size places = static_cast<Size>(s.rows) * s.cols, begin = blockIdx.y * length;
  const Size end = begin + length < squares ? begin + length : squares;
  float sums[kTaps] = {};
  for (Size i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const Size image = i / places, at = (image * s.out + o) * places + i % places;
    const int which = code[at];
    if (which == kNone) continue;
    const int row = static_cast<int>(i / s.cols % s.rows), column = static_cast<int>(i % s.cols);
    const Window window(s, 2 * row + which / 2, 2 * column + which % 2);
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      if (first + k > taps) continue;
      sums[k] += dy[at] * (first + k == taps ? 1.0f : pixel(x + image * s.in * s.h * s.w, s, window, first + k));
    }
  }
#pragma unroll
  for (int k = 0; k < kTaps; ++k) {
    const float total = sum<Block>(sums[k]);
    if (threadIdx.x == 0 && first + k <= taps)
      parts[(static_cast<Size>(blockIdx.y) * s.out + o) * (taps + 1) + first + k] = total;
  }
}

// dw (out, taps) and db (out,), if not null: the sums of the pieces, in order
extern "C" __global__ void __launch_bounds__(256)
    conv2d_relu_pool_backward_total(float* dw, float* db, const float* parts, int out, int taps, int pieces) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, o = i / (taps + 1), tap = i % (taps + 1);
  if (o >= out) return;
  float total = 0.0f;
  for (int p = 0; p < pieces; ++p) total += parts[static_cast<Size>(p) * out * (taps + 1) + i];
  if (tap < taps) dw[o * taps + tap] = total;
  if (tap == taps && db) db[o] = total;
}

// full (planes, h, w): dy (planes, rows, cols) where the code says, 0 elsewhere
extern "C" __global__ void __launch_bounds__(256)
    conv2d_relu_pool_spread(float* full, const float* dy, const unsigned char* code, long long size, int h, int w,
                            int rows, int cols) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int column = static_cast<int>(i % w), row = static_cast<int>(i / w % h);
  const Size square = (i / (static_cast<Size>(h) * w) * rows + row / 2) * cols + column / 2;
  const bool inside = row / 2 < rows && column / 2 < cols;
  full[i] = inside && code[square] == row % 2 * 2 + column % 2 ? dy[square] : 0.0f;
}
