// y = (x - mean) / sqrt(var + eps) weight + bias for x (n, c, s), mean and var of each channel over n and s; weight and
// bias may be null. A block finds the statistics of a channel, or the sums of its gradient; then all elements are
// scaled by a launch of their own.

#include "batch_norm.cuh"

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_forward_statistics(float* mean, float* var, const Real* x, long long n, int channels, long long s) {
  channel_statistics(mean, var, x, n, channels, s);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_apply(Real* y, const Real* x, const float* mean, const float* var, const Real* weight, const Real* bias,
                     float eps, long long size, int channels, long long s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int c = static_cast<int>(i / s % channels);
  const float xhat = (wide(x[i]) - mean[c]) * rstd_of(var[c], eps);
  y[i] = xhat * (weight ? wide(weight[c]) : 1.0f) + (bias ? wide(bias[c]) : 0.0f);
}

// across = sum of dy xhat, which is dw, and along = sum of dy, which is db; dw and db may be null
extern "C" __global__ void __launch_bounds__(256)
    batch_norm_backward_sums(float* across, float* along, Real* dw, Real* db, const Real* dy, const Real* x,
                             const float* mean, const float* var, float eps, long long n, int channels, long long s) {
  const float center = mean[blockIdx.x], rstd = rstd_of(var[blockIdx.x], eps);
  float products = 0.0f, total = 0.0f;
  for_channel(n, channels, s,
              [&](Size i) { products += wide(dy[i]) * ((wide(x[i]) - center) * rstd), total += wide(dy[i]); });
  keep_channel_sums(across, along, dw, db, products, total);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_backward_input(Real* dx, const Real* dy, const Real* x, const Real* weight, const float* mean,
                              const float* var, const float* across, const float* along, float eps, long long size,
                              int channels, long long s) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int c = static_cast<int>(i / s % channels);
  const float count = static_cast<float>(size / channels), rstd = rstd_of(var[c], eps);
  const float xhat = (wide(x[i]) - mean[c]) * rstd;
  dx[i] = (wide(dy[i]) - along[c] / count - xhat * (across[c] / count)) * rstd * (weight ? wide(weight[c]) : 1.0f);
}

extern "C" __global__ void __launch_bounds__(256)
    batch_norm_track(Real* running_mean, Real* running_var, const Real* mean, const Real* var, float momentum,
                     float correction, int channels) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  running_mean[c] = (1.0f - momentum) * wide(running_mean[c]) + momentum * wide(mean[c]);
  running_var[c] = (1.0f - momentum) * wide(running_var[c]) + momentum * correction * wide(var[c]);
}
