// The rung "mma": y (m, n) = a (m, k) b (k, n) on tensor cores by mma.sync, each operand stored as it is or transposed.
//
// A block of 4 warps computes 128 x 128 results, each warp 64 x 64 of them in registers, from tiles of 32 along k.
// Three pairs of tiles lie in shared memory: while one is multiplied, the next two are on their way (cp.async). Tiles
// lie as their operand does, in chunks of 8 elements, which ldmatrix reads eight rows at a time: chunks change places
// within their row (`place`) so that these eight lie in different banks.
#pragma once

#include "finish.cuh"
#include "ptx.cuh"

namespace {

struct Mma {
  static constexpr int kSide = 128, kDepth = 32, kStages = 3, kThreads = 128;
  static constexpr int kWarpSide = 64, kAcross = kSide / kWarpSide;
  static constexpr int kTile = kSide * kDepth;
  using Results = Room<8>;
#if __CUDA_ARCH__ >= 800
  static constexpr int kLoads = 4;  // that are begun together
#else
  static constexpr int kLoads = 1;  // each holds registers until it has come
#endif
};

// Where chunk `chunk` of a row of Columns elements lies. Rows of 32 elements fill the banks by two, wider ones alone.
template <int Columns>
__device__ __forceinline__ int place(int row, int chunk) {
  constexpr int kChunks = Columns / 8, kTurns = kChunks < 8 ? kChunks : 8;
  return row * Columns + (chunk ^ (row / (8 / kTurns) % kTurns)) * 8;
}

// Where a tile is cut from: a matrix of rows one behind the other.
template <class T>
struct Source {
  const T* data;
  int rows, columns;
  bool whole;  // chunks: none is half inside, and all begin at multiples of 16 bytes

  __device__ __forceinline__ Source(const T* data, int rows, int columns)
      : data(data), rows(rows), columns(columns), whole(columns % 8 == 0 && reinterpret_cast<Size>(data) % 16 == 0) {}

  // Begin to load a tile, with zeros for what lies outside.
  template <int Rows, int Columns>
  __device__ __forceinline__ void load(T* tile, int row0, int column0) const {
    constexpr int kChunks = Columns / 8;
#pragma unroll Mma::kLoads
    for (int i = threadIdx.x; i < Rows * kChunks; i += Mma::kThreads) {
      const int r = i / kChunks, c = i % kChunks, row = row0 + r, column = column0 + c * 8;
      const bool there = row < rows && column < columns;
      const T* from = there ? data + static_cast<Size>(row) * columns + column : data;
      T* to = tile + place<Columns>(r, c);
      if (whole)
        cp_async_16(to, from, there);
      else
#pragma unroll 1
        for (int e = 0; e < 8; ++e) to[e] = there && column + e < columns ? from[e] : static_cast<T>(0.0f);
    }
  }
};

// An operand's tile: (width, depth), or (depth, width) where k runs down its rows. Width is m or n.
template <class T, bool Down>
struct Operand {
  static constexpr int kRows = Down ? Mma::kDepth : Mma::kSide, kColumns = Down ? Mma::kSide : Mma::kDepth;

  static __device__ __forceinline__ Source<T> source(const T* data, int width, int depth) {
    return Source<T>(data, Down ? depth : width, Down ? width : depth);
  }

  static __device__ __forceinline__ void load(T* tile, const Source<T>& source, int width0, int depth0) {
    source.template load<kRows, kColumns>(tile, Down ? depth0 : width0, Down ? width0 : depth0);
  }

  // 16 x 16 of it as four registers, in halves along the width first, or along the depth first. An mma wants pairs of
  // neighbours along k: ldmatrix turns round what lies with its width in rows.
  static __device__ __forceinline__ void fragments(unsigned (&out)[4], const T* tile, int width, int depth,
                                                   bool width_first) {
    const int lane = threadIdx.x % kWarp, one = lane / 8 % 2 * 8, two = lane / 16 * 8;
    const int w = width + (width_first ? one : two), d = depth + (width_first ? two : one);
    const T* row = Down ? tile + place<kColumns>(d + lane % 8, w / 8) : tile + place<kColumns>(w + lane % 8, d / 8);
    ldmatrix_x4<Down>(out, row);
  }
};

template <class T, bool ADown, bool BDown>
__device__ __forceinline__ void multiply_tiles(float (&sums)[4][8][4], const T* a_tile, const T* b_tile, int row,
                                               int column) {
#pragma unroll
  for (int d = 0; d < Mma::kDepth; d += 16) {
    unsigned a[4][4], b[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) Operand<T, ADown>::fragments(a[i], a_tile, row + 16 * i, d, true);
#pragma unroll
    for (int j = 0; j < 4; ++j) Operand<T, BDown>::fragments(b[j], b_tile, column + 16 * j, d, false);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const unsigned half[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
        mma_m16n8k16<T>(sums[i][j], a[i], half);
      }
  }
}

// Results of the block at (row0, column0). a is stored (k, m) if ADown, else (m, k); b (k, n) if BDown, else (n, k).
template <class T, bool ADown, bool BDown>
__device__ __forceinline__ void mma_product(const Finish<T>& finish, const T* a_data, const T* b_data, int k, int row0,
                                            int column0) {
  __shared__ __align__(128) T a_tiles[Mma::kStages][Mma::kTile];
  __shared__ __align__(128) T b_tiles[Mma::kStages][Mma::kTile];
  using A = Operand<T, ADown>;
  using B = Operand<T, BDown>;
  const Source<T> a = A::source(a_data, finish.rows, k), b = B::source(b_data, finish.columns, k);
  const int steps = (k + Mma::kDepth - 1) / Mma::kDepth;
  const auto load = [&](int step) {
    if (step < steps) {
      A::load(a_tiles[step % Mma::kStages], a, row0, step * Mma::kDepth);
      B::load(b_tiles[step % Mma::kStages], b, column0, step * Mma::kDepth);
    }
    cp_async_commit();  // a group for each step, be it empty: the wait below counts them
  };
  const int warp = threadIdx.x / kWarp;
  const int row = warp / Mma::kAcross * Mma::kWarpSide, column = warp % Mma::kAcross * Mma::kWarpSide;
  float sums[4][8][4] = {};
#pragma unroll 1
  for (int step = 0; step < Mma::kStages - 1; ++step) load(step);
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<Mma::kStages - 2>();  // this thread's part of the step's tiles has come
    __syncthreads();  // and that of the others, who are done with the tiles that the next load overwrites
    load(step + Mma::kStages - 1);
    multiply_tiles<T, ADown, BDown>(sums, a_tiles[step % Mma::kStages], b_tiles[step % Mma::kStages], row, column);
  }
  __syncthreads();  // before the tiles become room for results
  float* room = reinterpret_cast<float*>(a_tiles) + warp * Mma::Results::kFloats;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    Mma::Results::store(finish, room, row0 + row + 16 * i, column0 + column,
                        [&](int j, int h) { return make_float2(sums[i][j][2 * h], sums[i][j][2 * h + 1]); });
}

}  // namespace
