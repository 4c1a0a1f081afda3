// y = the largest element of each window of x (planes, h, w), and where it stands in its plane; the gradient adds dy
// there. NaN is larger than any number; of equal elements the first counts.

#include "common.cuh"

struct Pooling {
  int h, w, oh, ow, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w;
};

extern "C" __global__ void __launch_bounds__(256)
    max_pool2d_forward(Real* y, long long* index, const Real* x, long long planes, const Pooling s) {
  const Size all = planes * s.oh * s.ow, at = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= all) return;
  const int row = static_cast<int>(at / s.ow % s.oh) * s.stride_h - s.pad_h;
  const int column = static_cast<int>(at % s.ow) * s.stride_w - s.pad_w;
  const Real* plane = x + at / (s.oh * s.ow) * s.h * s.w;
  float best = 0.0f;
  long long place = -1;
  for (int i = 0; i < s.kh; ++i) {
    for (int j = 0; j < s.kw; ++j) {
      const int r = row + i * s.dil_h, c = column + j * s.dil_w;
      if (r < 0 || r >= s.h || c < 0 || c >= s.w) continue;
      const float value = plane[static_cast<Size>(r) * s.w + c];
      if (place >= 0 && (value <= best || best != best)) continue;
      best = value, place = static_cast<Size>(r) * s.w + c;
    }
  }
  y[at] = best, index[at] = place;
}

// A warp for each plane, 32 gradients at a time: those for one place are added up by the first lane that has one of
// them, in order, so that the bits do not depend on what runs first.
extern "C" __global__ void __launch_bounds__(128)
    max_pool2d_backward(float* dx, const Real* dy, const long long* index, long long planes, long long outputs,
                        long long pixels) {
  const Size plane = warp_row();
  if (plane >= planes) return;
  const int lane = Warp::rank();
  dx += plane * pixels, dy += plane * outputs, index += plane * outputs;
  for (Size i = lane; i < pixels; i += kWarp) dx[i] = 0.0f;
  for (Size begin = 0; begin < outputs; begin += kWarp) {
    __syncwarp();
    const bool there = begin + lane < outputs;
    const long long place = there ? index[begin + lane] : -1 - lane;
    const float mine = there ? wide(dy[begin + lane]) : 0.0f;
    const unsigned peers = __match_any_sync(kAllLanes, place);
    float total = 0.0f;
    for (int other = 0; other < kWarp; ++other) {
      const float value = __shfl_sync(kAllLanes, mine, other);
      if (peers >> other & 1u) total += value;
    }
    if (place >= 0 && lane == __ffs(static_cast<int>(peers)) - 1) dx[place] += total;
  }
}

// dx of a half, once its sums are complete.
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_round(Real* dx, const float* sums, long long n) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) dx[i] = sums[i];
}
