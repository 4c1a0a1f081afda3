// Radix sort of rows of pairs (key, place) by 8 bits of the keys, stable; from the lowest bits to the highest it sorts
// them altogether. A tile counts its digits, a block for each row adds these up to where each tile's run of a digit
// begins, and a tile puts its pairs there in order. All arrays are (rows, n), counts (rows, digits, tiles).
#pragma once

#include "scan.cuh"

constexpr int kDigits = 256, kThreads = 256, kTile = 4096;  // threads of a block; keys of a tile
constexpr int kBatches = kTile / kThreads;                  // keys of a thread
constexpr int kShare = 8;                                   // counts of a thread in a step of `sum_counts`

namespace {

struct Count {
  int n = 0;

  __device__ __forceinline__ Count operator()(Count later) const {
    later.n += n;
    return later;
  }
};

__device__ __forceinline__ Count count_of(int n) {
  Count count;
  count.n = n;
  return count;
}

__device__ __forceinline__ void count_digits(int* counts, const unsigned* keys, int n, int tiles, int shift) {
  __shared__ int found[kDigits];
  const Size row = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, begin = tile * kTile;
  found[threadIdx.x] = 0;
  __syncthreads();
  for (int i = begin + threadIdx.x; i < n && i < begin + kTile; i += kThreads)
    atomicAdd(&found[keys[row * n + i] >> shift & (kDigits - 1)], 1);
  __syncthreads();
  counts[(row * kDigits + threadIdx.x) * tiles + tile] = found[threadIdx.x];
}

// A block for each row: counts become the sums of all before them.
__device__ __forceinline__ void sum_counts(int* counts, Size length) {
  counts += blockIdx.x * length;
  int before = 0;
  for (Size begin = 0; begin < length; begin += kThreads * kShare) {
    const Size first = begin + threadIdx.x * kShare;
    int own[kShare], sum = 0;
#pragma unroll
    for (int i = 0; i < kShare; ++i) own[i] = first + i < length ? counts[first + i] : 0, sum += own[i];
    Count all;
    int running = before + scan_block(count_of(sum), all).n;
    before += all.n;
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      if (first + i < length) counts[first + i] = running;
      running += own[i];
    }
  }
}

// A warp has neighbouring keys, batch by batch: how many of a digit came before in the warp, then in the block.
__device__ __forceinline__ void scatter_digits(unsigned* keys_out, int* places_out, const unsigned* keys,
                                               const int* places, const int* offsets, int n, int tiles, int shift) {
  __shared__ int starts[kThreads / kWarp][kDigits];
  const Size row = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int begin = tile * kTile + warp * kWarp * kBatches;
  int* mine = starts[warp];
  for (int d = lane; d < kDigits; d += kWarp) mine[d] = 0;
  __syncwarp();
  int ranks[kBatches];
  const auto digit_at = [&](int i) {
    return i < n ? static_cast<int>(keys[row * n + i] >> shift & (kDigits - 1)) : -1;
  };
#pragma unroll
  for (int batch = 0; batch < kBatches; ++batch) {
    const int digit = digit_at(begin + batch * kWarp + lane);
    const unsigned peers = __match_any_sync(kAllLanes, digit);
    const int before = digit < 0 ? 0 : mine[digit];
    ranks[batch] = before + __popc(peers & ((1u << lane) - 1u));
    __syncwarp();
    if (digit >= 0 && lane == __ffs(static_cast<int>(peers)) - 1) mine[digit] = before + __popc(peers);
    __syncwarp();
  }
  __syncthreads();
  int running = offsets[(row * kDigits + threadIdx.x) * tiles + tile];
  for (int w = 0; w < kThreads / kWarp; ++w) {
    const int count = starts[w][threadIdx.x];
    starts[w][threadIdx.x] = running;
    running += count;
  }
  __syncthreads();
#pragma unroll
  for (int batch = 0; batch < kBatches; ++batch) {
    const int i = begin + batch * kWarp + lane;
    if (i >= n) break;
    const Size to = row * n + mine[digit_at(i)] + ranks[batch];
    keys_out[to] = keys[row * n + i], places_out[to] = places[row * n + i];
  }
}

}  // namespace
