// Many tensors in one launch: the addresses of up to kTensors of them are passed by value, and a block works on one
// chunk of one tensor.
#pragma once

#include "common.cuh"

constexpr int kTensors = 48, kLists = 5, kChunk = 4096;

// lists[j][i]: array j of parameter i, null where the optimizer keeps none. Blocks first[i] .. first[i + 1] are its.
struct Tensors {
  int count;
  int first[kTensors + 1];
  long long sizes[kTensors];
  Real* lists[kLists][kTensors];
};

namespace {

// f(i, arrays) for every element i of this block's chunk.
template <class F>
__device__ __forceinline__ void for_chunk(const Tensors& tensors, const F& f) {
  int which = 0;
  while (static_cast<int>(blockIdx.x) >= tensors.first[which + 1]) ++which;
  Real* arrays[kLists];
#pragma unroll
  for (int j = 0; j < kLists; ++j) arrays[j] = tensors.lists[j][which];
  const Size begin = static_cast<Size>(blockIdx.x - tensors.first[which]) * kChunk, size = tensors.sizes[which];
  const Size end = begin + kChunk < size ? begin + kChunk : size;
  for (Size i = begin + threadIdx.x; i < end; i += blockDim.x) f(i, arrays);
}

}  // namespace
