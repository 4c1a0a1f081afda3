// The rows of x (rows, n) in order, stable, with the places that elements came from; and their first k.
//
// Elements are compared as keys, unsigned numbers in the order of the floats: -0 as 0, NaN behind all numbers; where
// the largest come first, all bits are turned around.
//
//   _short   a block for each row: pairs (key, place) in shared memory, a bitonic network
//   _keys, four times (_count, _offsets, _scatter), _take
//            long rows: radix sort by 8 bits at a time, the lowest first (radix.cuh)
//   topk_forward_select
//            a block for each row finds the k-th key digit by digit, the highest first, and sorts what is not behind it

#include "radix.cuh"

constexpr int kShort = 2048;  // pairs that a block sorts in shared memory

namespace {

using Pair = unsigned long long;  // key, place

__device__ __forceinline__ unsigned key_of(float x, int descending) {
  const unsigned bits = __float_as_uint(x == 0.0f ? 0.0f : x);
  const unsigned key = x != x ? 0xffffffffu : bits >> 31 ? ~bits : bits | 0x80000000u;
  return descending ? ~key : key;
}

__device__ __forceinline__ Pair pair_of(unsigned key, int place) {
  return static_cast<Pair>(key) << 32 | static_cast<unsigned>(place);
}

__device__ __forceinline__ int place_of(Pair pair) { return static_cast<int>(pair & 0xffffffffu); }

// Pairs 0 .. size - 1, a power of two, put in order by the whole block.
__device__ __forceinline__ void sort_pairs(Pair* pairs, int size) {
  for (int length = 2; length <= size; length *= 2)
    for (int distance = length / 2; distance > 0; distance /= 2) {
      __syncthreads();
      for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
        const int low = i / distance * 2 * distance + i % distance, high = low + distance;
        const Pair a = pairs[low], b = pairs[high];
        if ((a > b) == ((low & length) == 0)) pairs[low] = b, pairs[high] = a;
      }
    }
  __syncthreads();
}

// The first k of the pairs, as elements of a row and their places.
__device__ __forceinline__ void write_pairs(float* y, long long* index, const float* x, const Pair* pairs, int k) {
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    const int place = place_of(pairs[i]);
    y[i] = x[place], index[i] = place;
  }
}

}  // namespace

// size: the power of two from n on; the first k are written.
extern "C" __global__ void __launch_bounds__(256)
    sort_forward_short(float* y, long long* index, const float* x, int n, int k, int size, int descending) {
  __shared__ Pair pairs[kShort];
  const Size row = blockIdx.x;
  x += row * n;
  for (int i = threadIdx.x; i < size; i += blockDim.x)
    pairs[i] = i < n ? pair_of(key_of(x[i], descending), i) : ~Pair{0};
  sort_pairs(pairs, size);
  write_pairs(y + row * k, index + row * k, x, pairs, k);
}

// Radix sort: all arrays (rows, n), counts (rows, digits, tiles)
// -------------------------------------------------------

extern "C" __global__ void __launch_bounds__(256)
    sort_forward_keys(unsigned* keys, int* places, const float* x, long long size, int n, int descending) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < size) keys[i] = key_of(x[i], descending), places[i] = static_cast<int>(i % n);
}

extern "C" __global__ void __launch_bounds__(256)
    sort_forward_count(int* counts, const unsigned* keys, int n, int tiles, int shift) {
  count_digits(counts, keys, n, tiles, shift);
}

extern "C" __global__ void __launch_bounds__(256) sort_forward_offsets(int* counts, long long length) {
  sum_counts(counts, length);
}

extern "C" __global__ void __launch_bounds__(256)
    sort_forward_scatter(unsigned* keys_out, int* places_out, const unsigned* keys, const int* places,
                         const int* offsets, int n, int tiles, int shift) {
  scatter_digits(keys_out, places_out, keys, places, offsets, n, tiles, shift);
}

// y, index (rows, k)
extern "C" __global__ void __launch_bounds__(256)
    sort_forward_take(float* y, long long* index, const float* x, const int* places, long long size, int n, int k) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const Size row = i / k * n;
  const int place = places[row + i % k];
  y[i] = x[row + place], index[i] = place;
}

// The first k <= kShort of each row; size: the power of two from k on
// ---------------------------------------------------

extern "C" __global__ void __launch_bounds__(256)
    topk_forward_select(float* y, long long* index, const float* x, int n, int k, int size, int largest) {
  __shared__ Pair pairs[kShort];
  __shared__ int found[kDigits];
  __shared__ int chosen;
  __shared__ int before_chosen;
  __shared__ int taken;
  const Size row = blockIdx.x;
  x += row * n;
  unsigned last = 0, known = 0;  // the k-th key, and which of its bits are found
  int left = k, equal = 0;       // how many of those with these bits are wanted, and how many there are
  for (int shift = 24; shift >= 0; shift -= 8) {
    found[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += kThreads) {
      const unsigned key = key_of(x[i], largest);
      if ((key & known) == last) atomicAdd(&found[key >> shift & (kDigits - 1)], 1);
    }
    __syncthreads();
    const int own = found[threadIdx.x];
    Count all;
    const int before = scan_block(count_of(own), all).n;
    if (before < left && left <= before + own) chosen = threadIdx.x, before_chosen = before;
    __syncthreads();
    left -= before_chosen, equal = found[chosen];
    last |= static_cast<unsigned>(chosen) << shift, known |= 0xffu << shift;
    __syncthreads();  // all have read before the next digit is found
  }
  for (int i = threadIdx.x; i < size; i += kThreads) pairs[i] = ~Pair{0};
  if (threadIdx.x == 0) taken = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += kThreads) {  // in any order: they are sorted below
    const unsigned key = key_of(x[i], largest);
    if (key < last || (key == last && equal == left)) pairs[atomicAdd(&taken, 1)] = pair_of(key, i);
  }
  if (equal == left) left = 0;
  for (int begin = 0; left > 0; begin += kThreads) {  // of equals, too many, those that come first
    const int i = begin + threadIdx.x, hit = i < n && key_of(x[i], largest) == last;
    Count all;
    const int place = scan_block(count_of(hit), all).n;
    if (hit && place < left) pairs[k - left + place] = pair_of(last, i);
    left -= all.n < left ? all.n : left;
  }
  sort_pairs(pairs, size);
  write_pairs(y + row * k, index + row * k, x, pairs, k);
}
