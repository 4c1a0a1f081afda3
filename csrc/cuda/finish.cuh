// What becomes of the sums of a product on their way to memory: a bias for each column, another matrix, an activation.
#pragma once

#include "common.cuh"

constexpr int kRelu = 1;

namespace {

template <class T>
struct Finish {
  T* y;            // (rows, columns)
  const T* bias;   // (columns), or null
  const T* other;  // as y, or null
  int activation;
  int rows, columns;

  __device__ __forceinline__ float operator()(float sum, Size at, int column) const {
    if (bias) sum += static_cast<float>(bias[column]);
    if (other) sum += static_cast<float>(other[at]);
    return activation == kRelu && sum <= 0.0f ? 0.0f : sum;  // NaN passes
  }

  // Two neighbours, `column` being even: by one store where rows begin at even elements.
  __device__ __forceinline__ void store_pair(int row, int column, float2 sums) const {
    if (row >= rows || column >= columns) return;
    const Size at = static_cast<Size>(row) * columns + column;
    const T left = static_cast<T>((*this)(sums.x, at, column));
    if (column + 1 == columns) {
      y[at] = left;
      return;
    }
    const T right = static_cast<T>((*this)(sums.y, at + 1, column + 1));
    struct alignas(2 * sizeof(T)) Pair {
      T left, right;
    };
    if (columns % 2 == 0 && reinterpret_cast<Size>(y) % sizeof(Pair) == 0)
      *reinterpret_cast<Pair*>(y + at) = Pair{left, right};
    else
      y[at] = left, y[at + 1] = right;
  }
};

}  // namespace
