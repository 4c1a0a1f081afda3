// What batch_norm and batch_norm_relu_pool share: a block finds the mean and the variance of a channel.
#pragma once

#include "common.cuh"

namespace {

// f(offset) for all elements of this block's channel that fall to this thread.
template <class F>
__device__ __forceinline__ void for_channel(Size n, int channels, Size s, const F& f) {
  for (Size i = threadIdx.x; i < n * s; i += blockDim.x) f((i / s * channels + blockIdx.x) * s + i % s);
}

__device__ __forceinline__ float rstd_of(float var, float eps) { return 1.0f / sqrtf(var + eps); }

template <class T>
__device__ __forceinline__ void channel_statistics(float* mean, float* var, const T* x, Size n, int channels, Size s) {
  const float count = static_cast<float>(n * s);
  float total = 0.0f, squares = 0.0f;
  for_channel(n, channels, s, [&](Size i) { total += wide(x[i]); });
  const float center = sum<Block>(total) / count;
  for_channel(n, channels, s, [&](Size i) { squares += (wide(x[i]) - center) * (wide(x[i]) - center); });
  squares = sum<Block>(squares) / count;
  if (threadIdx.x == 0) mean[blockIdx.x] = center, var[blockIdx.x] = squares;
}

// across = dw and along = db: what the threads of this block found of its channel; dw and db may be null.
__device__ __forceinline__ void keep_channel_sums(float* across, float* along, Real* dw, Real* db, float products,
                                                  float total) {
  products = sum<Block>(products);
  total = sum<Block>(total);
  if (threadIdx.x > 0) return;
  across[blockIdx.x] = products, along[blockIdx.x] = total;
  if (dw) dw[blockIdx.x] = products;
  if (db) db[blockIdx.x] = total;
}

}  // namespace
