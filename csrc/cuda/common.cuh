// Included first by every kernel file: what NVRTC lacks, and what threads find out together.
//
// A row is worked on by a group of threads, a `Warp` or a whole `Block`: an algorithm is written once for both.
#pragma once

#if defined(__CUDACC_RTC__)  // NVRTC has no headers of the host
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

// What numbers are stored as. Of a file that says `Real` there are forms for __half and __nv_bfloat16, which have it
// defined in front of everything; numbers are computed, and added up, as floats in all of them.
#ifndef Real
#define Real float
#endif

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kMaxWarps = 32;  // of a block

using Size = long long;

// A stored number as a float; the way back, which rounds to nearest even, needs no name: y[i] = value.
template <class T>
__device__ __forceinline__ float wide(T x) {
  return static_cast<float>(x);
}

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

struct Larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// `value` as the lane `mask` away has it, word by word.
template <class T>
__device__ __forceinline__ T exchanged(T value, int mask) {
  static_assert(sizeof(T) % sizeof(int) == 0, "whole words");
  int words[sizeof(T) / sizeof(int)];
  memcpy(words, &value, sizeof value);
#pragma unroll
  for (int& word : words) word = __shfl_xor_sync(kAllLanes, word, mask);
  memcpy(&value, words, sizeof value);
  return value;
}

// merge() of the values of all lanes; the same bits in each if merge(a, b) and merge(b, a) are.
template <class T, class Merge>
__device__ __forceinline__ T merge_warp(T value, const Merge& merge) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value = merge(value, exchanged(value, distance));
  return value;
}

struct Warp {
  static __device__ __forceinline__ int rank() { return threadIdx.x % kWarp; }
  static __device__ __forceinline__ int size() { return kWarp; }

  template <class T, class Merge>
  static __device__ __forceinline__ T merge(T value, T, const Merge& merge) {
    return merge_warp(value, merge);
  }
};

// A block of whole warps.
struct Block {
  static __device__ __forceinline__ int rank() { return threadIdx.x; }
  static __device__ __forceinline__ int size() { return blockDim.x; }

  // `neutral` stands for the warps that are not there.
  template <class T, class Merge>
  static __device__ __forceinline__ T merge(T value, T neutral, const Merge& merge) {
    __shared__ T parts[kMaxWarps];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
    value = merge_warp(value, merge);
    __syncthreads();  // the last merge may still be reading
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    return merge_warp(lane < warps ? parts[lane] : neutral, merge);
  }
};

template <class Group>
__device__ __forceinline__ float sum(float value) {
  return Group::merge(value, 0.0f, Add());
}

template <class Group>
__device__ __forceinline__ float largest(float value) {
  return Group::merge(value, -INFINITY, Larger());
}

// f(column) for the columns of a row that fall to this thread.
template <class Group, class F>
__device__ __forceinline__ void for_columns(int cols, const F& f) {
  for (int c = Group::rank(); c < cols; c += Group::size()) f(c);
}

// The row of this thread's warp; several to a block.
__device__ __forceinline__ Size warp_row() {
  return static_cast<Size>(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
}
