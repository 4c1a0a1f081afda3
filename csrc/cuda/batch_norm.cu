// y = (x - mean) / sqrt(var + eps) weight + bias for x (n, c, s), mean and var of each channel over n and s; weight and
// bias may be null. A block finds the statistics of a channel, or the sums of its gradient; then all elements are
// scaled by a launch of their own.

#include "common.cuh"

namespace {

// f(offset) for all elements of this block's channel that fall to this thread.
template <class F>
__device__ __forceinline__ void for_channel(Size n, int channels, Size s, const F& f) {
  for (Size i = threadIdx.x; i < n * s; i += blockDim.x) f((i / s * channels + blockIdx.x) * s + i % s);
}

__device__ __forceinline__ float rstd_of(float var, float eps) { return 1.0f / sqrtf(var + eps); }

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_forward_statistics(float* mean, float* var, const float* x, long long n, int channels, long long s) {
  const float count = static_cast<float>(n * s);
  float total = 0.0f, squares = 0.0f;
  for_channel(n, channels, s, [&](Size i) { total += x[i]; });
  const float center = sum<Block>(total) / count;
  for_channel(n, channels, s, [&](Size i) { squares += (x[i] - center) * (x[i] - center); });
  squares = sum<Block>(squares) / count;
  if (threadIdx.x == 0) mean[blockIdx.x] = center, var[blockIdx.x] = squares;
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_apply(float* y, const float* x, const float* mean, const float* var, const float* weight,
                     const float* bias, float eps, long long size, int channels, long long s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int c = static_cast<int>(i / s % channels);
  const float xhat = (x[i] - mean[c]) * rstd_of(var[c], eps);
  y[i] = xhat * (weight ? weight[c] : 1.0f) + (bias ? bias[c] : 0.0f);
}

// across = sum of dy xhat, which is dw, and along = sum of dy, which is db
extern "C" __global__ void __launch_bounds__(256)
    batch_norm_backward_sums(float* across, float* along, const float* dy, const float* x, const float* mean,
                             const float* var, float eps, long long n, int channels, long long s) {
  const float center = mean[blockIdx.x], rstd = rstd_of(var[blockIdx.x], eps);
  float products = 0.0f, total = 0.0f;
  for_channel(n, channels, s, [&](Size i) { products += dy[i] * ((x[i] - center) * rstd), total += dy[i]; });
  products = sum<Block>(products);
  total = sum<Block>(total);
  if (threadIdx.x == 0) across[blockIdx.x] = products, along[blockIdx.x] = total;
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_backward_input(float* dx, const float* dy, const float* x, const float* weight, const float* mean,
                              const float* var, const float* across, const float* along, float eps, long long size,
                              int channels, long long s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int c = static_cast<int>(i / s % channels);
  const float count = static_cast<float>(size / channels), rstd = rstd_of(var[c], eps);
  const float xhat = (x[i] - mean[c]) * rstd;
  dx[i] = (dy[i] - along[c] / count - xhat * (across[c] / count)) * rstd * (weight ? weight[c] : 1.0f);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_track(float* running_mean, float* running_var, const float* mean, const float* var, float momentum,
                     float correction, int channels) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  running_mean[c] = (1.0f - momentum) * running_mean[c] + momentum * mean[c];
  running_var[c] = (1.0f - momentum) * running_var[c] + momentum * correction * var[c];
}
