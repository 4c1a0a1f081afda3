// y (rows, out) = (x (rows, in) w (out, in)^T) scale (out) + bias (out), w of one byte each; bias may be null.
//
//   _few    a warp for each output of up to kRows rows: the weights, which are what takes time, are read once
//   _tiles  many rows: a product of matrices in tiles

#include "gemm.cuh"

constexpr int kRows = 8;

// blockIdx.y: which kRows rows
extern "C" __global__ void __launch_bounds__(128)
    int8_linear_forward_few(float* y, const float* x, const signed char* w, const float* scale, const float* bias,
                            int rows, int out, int in) {
  const int o = static_cast<int>(warp_row()), first = blockIdx.y * kRows;
  if (o >= out) return;
  const signed char* weights = w + static_cast<Size>(o) * in;
  const float* x_row[kRows];
  float sums[kRows] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) x_row[r] = x + static_cast<Size>(first + r < rows ? first + r : first) * in;
  const bool by_fours = in % 4 == 0 && reinterpret_cast<unsigned long long>(w) % 4 == 0;
  for (int k = 4 * Warp::rank(); k < in; k += 4 * kWarp) {
    int four = 0;  // weights, a byte each
    if (by_fours)
      four = *reinterpret_cast<const int*>(weights + k);
    else
      for (int j = 0; j < 4 && k + j < in; ++j) four |= (weights[k + j] & 0xff) << (8 * j);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (k + j >= in) break;
#pragma unroll
      for (int r = 0; r < kRows; ++r) sums[r] += x_row[r][k + j] * static_cast<signed char>(four >> (8 * j));
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float total = sum<Warp>(sums[r]);
    if (Warp::rank() == 0 && first + r < rows)
      y[static_cast<Size>(first + r) * out + o] = total * scale[o] + (bias ? bias[o] : 0.0f);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    int8_linear_forward_tiles(float* y, const float* x, const signed char* w, const float* scale, const float* bias,
                              int rows, int out, int in) {
  const auto load_x = [=](int row, int d) { return x[static_cast<Size>(row) * in + d]; };
  const auto load_w = [=](int d, int o) { return static_cast<float>(w[static_cast<Size>(o) * in + d]); };
  gemm<Along::depth, Along::depth>(rows, out, in, load_x, load_w, [=](float sum, int row, int o) {
    y[static_cast<Size>(row) * out + o] = sum * scale[o] + (bias ? bias[o] : 0.0f);
  });
}
