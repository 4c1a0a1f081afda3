// What layer_norm and rms_norm share: a row is centered or not, scaled by one over its deviation, and the gradient has
// the same two sums over the row. weight, bias, dw, db may be null.
#pragma once

#include "rows.cuh"

namespace {

struct RowStatistics {
  float mean, rstd;
};

__device__ __forceinline__ float squared(float x) { return x * x; }

// `Row` is a `Held` or a `Streamed` of the group.
template <class Group, bool CENTER, class Row>
__device__ __forceinline__ RowStatistics norm_row(const Row& row, Real* y, const Real* x, const Real* weight,
                                                  const Real* bias, float eps) {
  const auto xs = row.read(x);
  float mean = 0.0f, squares = 0.0f;
  if (CENTER) {
    row.each([&](Place at) { mean += xs[at]; });
    mean = sum<Group>(mean) / row.cols;
  }
  row.each([&](Place at) { squares += squared(xs[at] - mean); });
  const float rstd = 1.0f / sqrtf(sum<Group>(squares) / row.cols + eps);
  row.write(y, [&](Place at) {
    const float scale = weight ? wide(weight[at.column]) : 1.0f, shift = bias ? wide(bias[at.column]) : 0.0f;
    return (xs[at] - mean) * rstd * scale + shift;
  });
  return {mean, rstd};
}

// dx = rstd (g - mean g - xhat mean(g xhat)), g = dy weight; without the first mean where nothing was centered
template <class Group, bool CENTER, class Row>
__device__ __forceinline__ void norm_row_backward(const Row& row, Real* dx, const Real* dy, const Real* x,
                                                  const Real* weight, RowStatistics found) {
  const auto xs = row.read(x), dys = row.read(dy);
  const auto g = [&](Place at) { return dys[at] * (weight ? wide(weight[at.column]) : 1.0f); };
  const auto xhat = [&](Place at) { return (xs[at] - found.mean) * found.rstd; };
  float mean_g = 0.0f, mean_gx = 0.0f;
  row.each([&](Place at) { mean_g += g(at), mean_gx += g(at) * xhat(at); });
  mean_g = CENTER ? sum<Group>(mean_g) / row.cols : 0.0f;
  mean_gx = sum<Group>(mean_gx) / row.cols;
  row.write(dx, [&](Place at) { return found.rstd * (g(at) - mean_g - xhat(at) * mean_gx); });
}

template <class Group, bool CENTER>
__device__ __forceinline__ RowStatistics norm_row(Real* y, const Real* x, const Real* weight, const Real* bias,
                                                  float eps, int cols) {
  const Held<Group> held{cols, all_packed(cols, x, y)};
  if (held.fits(cols)) return norm_row<Group, CENTER>(held, y, x, weight, bias, eps);
  return norm_row<Group, CENTER>(Streamed<Group>{cols}, y, x, weight, bias, eps);
}

template <class Group, bool CENTER>
__device__ __forceinline__ void norm_row_backward(Real* dx, const Real* dy, const Real* x, const Real* weight,
                                                  RowStatistics found, int cols) {
  const Held<Group> held{cols, all_packed(cols, dx, dy, x)};
  if (held.fits(cols)) return norm_row_backward<Group, CENTER>(held, dx, dy, x, weight, found);
  norm_row_backward<Group, CENTER>(Streamed<Group>{cols}, dx, dy, x, weight, found);
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
