// Running totals over the threads of a block, for any operation that may be bracketed at will: `before(later)`.
//
// A State is whole words, starts neutral, and `a(b)` is what a and then b make. What is computed depends on the shape
// alone: totals are always bracketed in the same way.
#pragma once

#include "common.cuh"

namespace {

// `value` as the lane `distance` below has it, word by word; of no meaning in the lowest ones.
template <class T>
__device__ __forceinline__ T shifted(T value, int distance) {
  static_assert(sizeof(T) % sizeof(int) == 0, "whole words");
  int words[sizeof(T) / sizeof(int)];
  memcpy(words, &value, sizeof value);
#pragma unroll
  for (int& word : words) word = __shfl_up_sync(kAllLanes, word, distance);
  memcpy(&value, words, sizeof value);
  return value;
}

// What the threads below this one make of their values, in order, and in `total` what all of the block make.
template <class State>
__device__ __forceinline__ State scan_block(State mine, State& total) {
  __shared__ State parts[kMaxWarps];
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % kWarp, warp = thread / kWarp;
  const int warps = blockDim.x * blockDim.y / kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const State earlier = shifted(mine, distance);
    if (lane >= distance) mine = earlier(mine);
  }
  const State below = shifted(mine, 1);
  __syncthreads();  // the last scan may still be reading
  if (lane == kWarp - 1) parts[warp] = mine;
  __syncthreads();
  State before, all;
  for (int w = 0; w < warps; ++w) {
    if (w == warp) before = all;
    all = all(parts[w]);
  }
  total = all;
  return lane == 0 ? before : before(below);
}

}  // namespace
