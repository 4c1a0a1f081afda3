// What layer_norm and rms_norm share: a row is centered or not, scaled by one over its deviation, and the gradient has
// the same two sums over the row. weight, bias, dw, db may be null.
#pragma once

#include "common.cuh"

namespace {

struct RowStatistics {
  float mean, rstd;
};

__device__ __forceinline__ float squared(float x) { return x * x; }

template <class Group, bool CENTER>
__device__ __forceinline__ RowStatistics row_statistics(const Real* x, int cols, float eps) {
  float mean = 0.0f, squares = 0.0f;
  if (CENTER) {
    for_columns<Group>(cols, [&](int c) { mean += wide(x[c]); });
    mean = sum<Group>(mean) / cols;
  }
  for_columns<Group>(cols, [&](int c) { squares += squared(wide(x[c]) - mean); });
  return {mean, 1.0f / sqrtf(sum<Group>(squares) / cols + eps)};
}

template <class Group, bool CENTER>
__device__ __forceinline__ RowStatistics norm_row(Real* y, const Real* x, const Real* weight, const Real* bias,
                                                  float eps, int cols) {
  const RowStatistics row = row_statistics<Group, CENTER>(x, cols, eps);
  for_columns<Group>(cols, [&](int c) {
    y[c] = (wide(x[c]) - row.mean) * row.rstd * (weight ? wide(weight[c]) : 1.0f) + (bias ? wide(bias[c]) : 0.0f);
  });
  return row;
}

// dx = rstd (g - mean g - xhat mean(g xhat)), g = dy weight; without the first mean where nothing was centered
template <class Group, bool CENTER>
__device__ __forceinline__ void norm_row_backward(Real* dx, const Real* dy, const Real* x, const Real* weight,
                                                  RowStatistics row, int cols) {
  float mean_g = 0.0f, mean_gx = 0.0f;
  for_columns<Group>(cols, [&](int c) {
    const float g = wide(dy[c]) * (weight ? wide(weight[c]) : 1.0f);
    mean_g += g, mean_gx += g * ((wide(x[c]) - row.mean) * row.rstd);
  });
  mean_g = CENTER ? sum<Group>(mean_g) / cols : 0.0f;
  mean_gx = sum<Group>(mean_gx) / cols;
  for_columns<Group>(cols, [&](int c) {
    const float g = wide(dy[c]) * (weight ? wide(weight[c]) : 1.0f), xhat = (wide(x[c]) - row.mean) * row.rstd;
    dx[c] = row.rstd * (g - mean_g - xhat * mean_gx);
  });
}

// dw = sum of dy xhat, db = sum of dy over the rows, for 32 columns by a block (32, 8); in the order of the rows.
__device__ __forceinline__ void norm_columns_backward(Real* dw, Real* db, const Real* dy, const Real* x,
                                                      const float* mean, const float* rstd, Size rows, int cols) {
  __shared__ float weight_parts[8][kWarp];
  __shared__ float bias_parts[8][kWarp];
  const int c = blockIdx.x * kWarp + threadIdx.x;
  float weight_sum = 0.0f, bias_sum = 0.0f;
  for (Size r = threadIdx.y; r < rows && c < cols; r += 8) {
    const float d = wide(dy[r * cols + c]);
    weight_sum += d * ((wide(x[r * cols + c]) - (mean ? mean[r] : 0.0f)) * rstd[r]);
    bias_sum += d;
  }
  weight_parts[threadIdx.y][threadIdx.x] = weight_sum;
  bias_parts[threadIdx.y][threadIdx.x] = bias_sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= cols) return;
  for (int i = 1; i < 8; ++i) weight_sum += weight_parts[i][threadIdx.x], bias_sum += bias_parts[i][threadIdx.x];
  if (dw) dw[c] = weight_sum;
  if (db) db[c] = bias_sum;
}

}  // namespace
