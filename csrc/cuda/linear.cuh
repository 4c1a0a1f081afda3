// y (rows, out) = after(x w^T + bias), w (out, in): what linear.cu and linear_fused.cu share. bias may be null.
//
// Where results are few and `in` is large it is cut into pieces, `depth` long: blockIdx.z is one of them, and what
// comes of it goes to parts (pieces, rows, out), which are added up, in order, in a launch of their own. Else parts is
// null.
#pragma once

#include "gemm128.cuh"

namespace {

struct Layer {
  float *y, *parts;
  const float* bias;
  int rows, out;

  // y at i, in this column, is after(z, i); z without the bias is given
  template <class After>
  __device__ __forceinline__ float finished(float z, Size i, int column, const After& after) const {
    return after(bias ? z + bias[column] : z, i);
  }

  __device__ __forceinline__ Size place(int row, int column) const { return static_cast<Size>(row) * out + column; }
  __device__ __forceinline__ float* part() const { return parts + static_cast<Size>(blockIdx.z) * rows * out; }
};

// What of `in` this block adds up.
struct Stretch {
  int begin, size;

  __device__ __forceinline__ Stretch(int in, int depth)
      : begin(blockIdx.z * depth), size(in - begin < depth ? in - begin : depth) {}
};

template <class After>
__device__ __forceinline__ void product_register(const Layer& s, const float* x, const float* w, int in, int depth,
                                                 const After& after) {
  const Stretch stretch(in, depth);
  x += stretch.begin, w += stretch.begin;
  const auto load_x = [=](int row, int d) { return x[static_cast<Size>(row) * in + d]; };
  const auto load_w = [=](int d, int column) { return w[static_cast<Size>(column) * in + d]; };
  gemm<Along::depth, Along::depth>(s.rows, s.out, stretch.size, load_x, load_w, [=](float sum, int row, int column) {
    const Size i = s.place(row, column);
    (s.parts ? s.part() : s.y)[i] = s.parts ? sum : s.finished(sum, i, column, after);
  });
}

template <class After>
__device__ __forceinline__ void product_warp_tiled(const Layer& s, const float* x, const float* w, int in, int depth,
                                                   const After& after) {
  const Stretch stretch(in, depth);
  const Corner128<int> corner(s.rows, s.out);
  const Panel<Along::depth> rows(x + stretch.begin, in, corner.row, s.rows, stretch.size);
  const Panel<Along::depth> columns(w + stretch.begin, in, corner.column, s.out, stretch.size);
  const auto store = [=](float4 v, int row, int column) {
    const Size i = s.place(row, column);
    const int there = s.out - column;
    float* to = s.parts ? s.part() : s.y;
    if (!s.parts) {
      v.x = s.finished(v.x, i, column, after);
      if (there > 1) v.y = s.finished(v.y, i + 1, column + 1, after);
      if (there > 2) v.z = s.finished(v.z, i + 2, column + 2, after);
      if (there > 3) v.w = s.finished(v.w, i + 3, column + 3, after);
    }
    write4(to + i, v, there, in_fours(to, s.out));
  };
  gemm_warp_tiled<Along::depth, Along::depth>(corner, s.rows, s.out, stretch.size, rows, columns, store);
}

template <class After>
__device__ __forceinline__ void sum_parts(const Layer& s, int pieces, const After& after) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, size = static_cast<Size>(s.rows) * s.out;
  if (i >= size) return;
  float sum = 0.0f;
  for (int p = 0; p < pieces; ++p) sum += s.parts[p * size + i];
  s.y[i] = s.finished(sum, i, static_cast<int>(i % s.out), after);
}

// For 32 columns by a block (32, 8): g = value(row, column), and the sum of g over the rows, in their order. Rows are
// cut into pieces, `depth` long: blockIdx.y is one of them, and its sums are a row of total (pieces, cols).
template <class Value>
__device__ __forceinline__ void sum_columns(float* total, Size rows, int cols, int depth, const Value& value) {
  __shared__ float parts[8][kWarp];
  const int c = blockIdx.x * kWarp + threadIdx.x;
  const Size begin = static_cast<Size>(blockIdx.y) * depth, end = begin + depth < rows ? begin + depth : rows;
  float sum = 0.0f;
#pragma unroll 4
  for (Size r = begin + threadIdx.y; r < end; r += 8)
    if (c < cols) sum += value(r * cols + c);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= cols) return;
  for (int i = 1; i < 8; ++i) sum += parts[i][threadIdx.x];
  if (total) total[static_cast<Size>(blockIdx.y) * cols + c] = sum;
}

}  // namespace
