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

// Sums of 16 rows and 8 Blocks columns that a warp has in registers, get(j, h) being two neighbours of row lane / 4 + 8
// h in columns 8 j + lane % 4 * 2: by way of `room` in shared memory, so that lanes store whole rows side by side, and
// what follows a sum is written once for all of them.
template <int Blocks>
struct Room {
  static constexpr int kRow = 8 * Blocks + 8, kFloats = 16 * kRow;  // eight banks from row to row
  static constexpr int kPairs = 4 * Blocks;                         // of a row

  template <class T, class Get>
  static __device__ __forceinline__ void store(const Finish<T>& finish, float* room, int row, int column,
                                               const Get& get) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int j = 0; j < Blocks; ++j)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        *reinterpret_cast<float2*>(room + (lane / 4 + 8 * h) * kRow + 8 * j + lane % 4 * 2) = get(j, h);
    __syncwarp();
#pragma unroll 1
    for (int i = lane; i < 16 * kPairs; i += kWarp) {
      const int r = i / kPairs, c = i % kPairs * 2;
      finish.store_pair(row + r, column + c, *reinterpret_cast<const float2*>(room + r * kRow + c));
    }
    __syncwarp();
  }
};

}  // namespace
