// What one load of 16 bytes holds.
#pragma once

#include "common.cuh"

constexpr int kPack = 16 / sizeof(Real);

// As many elements of this type.
template <class T>
struct alignas(kPack * sizeof(T)) Pack {
  T at[kPack];
};

template <class T>
__device__ __forceinline__ bool aligned(const T* p) {
  return reinterpret_cast<unsigned long long>(p) % sizeof(Pack<T>) == 0;
}
