// CUDA's device language for a C++ compiler. Included by force before the first line of a kernel file, whose text is
// otherwise as it stands, but for the declarations of shared memory (minigrad/cuda/source.py).
//
//   vectors.h      float4, int2, dim3, ...
//   machine.h      the running thread and block, and what they ask of the runtime
//   warp.h         __syncthreads, shuffles, votes
//   atomics.h      atomicAdd, ..., fences
//   intrinsics.h   functions of numbers
//   registry.h     how the runtime finds the kernels
#pragma once

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "atomics.h"
#include "intrinsics.h"
#include "machine.h"
#include "registry.h"
#include "vectors.h"
#include "warp.h"

#define CUDA_SIM 1
#define __CUDA_ARCH__ 900

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#ifdef CUDA_SIM_DEBUG  // for a debugger
#define __forceinline__ inline
#else
#define __forceinline__ inline __attribute__((always_inline))
#endif
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

#define threadIdx (::cuda_sim::current->index)
#define blockIdx (::cuda_sim::block.index)
#define blockDim (::cuda_sim::block_dim)
#define gridDim (::cuda_sim::grid_dim)
#define warpSize 32

#define __trap() ::cuda_sim::trap("__trap()", CUDA_SIM_HERE)
#undef assert
#define assert(condition) ((condition) ? (void)0 : ::cuda_sim::trap("assert(" #condition ") failed", CUDA_SIM_HERE))
