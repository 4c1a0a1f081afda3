// PTX of sm_90a (and of nothing else): barriers in shared memory, copies of whole boxes (TMA), products of warpgroups
// (wgmma). The simulator has its own (csrc/cuda_sim/include/ptx.h).
#pragma once

#include "ptx.cuh"

#ifndef CUDA_SIM

// What the driver made of an array that boxes are copied from (minigrad/cuda/tensor_map.py).
struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

// A barrier of phases: one ends when so many have arrived and all bytes have come that were announced.
__device__ __forceinline__ void mbarrier_init(unsigned long long* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

// Let the machines beside the threads know of barriers that this thread has made.
__device__ __forceinline__ void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;\n" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(unsigned long long* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(barrier)) : "memory");
}

// Arrive, and announce bytes that will come in this phase.
__device__ __forceinline__ void mbarrier_expect(unsigned long long* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

// Wait for the end of the phase of this parity, phases being counted from 0; the one before the first has ended.
__device__ __forceinline__ void mbarrier_wait(unsigned long long* barrier, unsigned parity) {
  unsigned done;
  do {
    asm volatile(
        "{\n.reg .pred done;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n}\n"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (!done);
}

// Begin to copy the box at (x, y, z), zeros for what lies outside; its bytes count for a phase of `barrier`.
__device__ __forceinline__ void tma_load_3d(void* to, const TensorMap* map, unsigned long long* barrier, int x, int y,
                                            int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];\n" ::
          "r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}

// Give registers of this warpgroup's threads up, or get more.
template <int Registers>
__device__ __forceinline__ void setmaxnreg_dec() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void setmaxnreg_inc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(Registers));
}

// Where an operand of wgmma lies: rows of 128 bytes as TMA swizzles them, groups of eight `stride` bytes apart; groups
// of 64 columns, where it has more, `lead` bytes apart.
using MatrixDescriptor = unsigned long long;
__device__ __forceinline__ MatrixDescriptor wgmma_descriptor(const void* tile, int lead, int stride) {
  const MatrixDescriptor at = shared_address(tile) >> 4 & 0x3fff, ahead = lead >> 4, apart = stride >> 4;
  return at | ahead << 16 | apart << 32 | 1ull << 62;
}

// Before the first wgmma, and when registers were written to that it uses.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }

// What was begun since the last commit is a group.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }

// Wait for groups, but for the last `Left`.
template <int Left>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(Left) : "memory");
}

// d (64, 256) += a (64, 16) b (16, 256) by the four warps of a warpgroup, 16 rows each. An operand lies (width, 16), or
// (16, width) if k runs down its rows. With g = lane / 4 and p = lane % 4 * 2 a lane has of columns 8 j + p and
// 8 j + p + 1 those of row g as d[4 j] and d[4 j + 1], those of row g + 8 as the next two.
template <class T, bool ADown, bool BDown>
__device__ __forceinline__ void wgmma_m64n256k16(float (&d)[128], MatrixDescriptor a, MatrixDescriptor b);

#define WGMMA_FOUR(I) "+f"(d[I]), "+f"(d[I + 1]), "+f"(d[I + 2]), "+f"(d[I + 3])
#define WGMMA_SIXTEEN(I) WGMMA_FOUR(I), WGMMA_FOUR(I + 4), WGMMA_FOUR(I + 8), WGMMA_FOUR(I + 12)
#define WGMMA(TYPE, PTX, A_DOWN, B_DOWN)                                                                         \
  template <>                                                                                                    \
  __device__ __forceinline__ void wgmma_m64n256k16<TYPE, A_DOWN, B_DOWN>(float (&d)[128], MatrixDescriptor a,    \
                                                                         MatrixDescriptor b) {                   \
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32." PTX "." PTX " " WGMMA_REGISTERS                  \
                 "%128, %129, 1, 1, 1, %130, %131;\n"                                                            \
                 : WGMMA_SIXTEEN(0), WGMMA_SIXTEEN(16), WGMMA_SIXTEEN(32), WGMMA_SIXTEEN(48), WGMMA_SIXTEEN(64), \
                   WGMMA_SIXTEEN(80), WGMMA_SIXTEEN(96), WGMMA_SIXTEEN(112)                                      \
                 : "l"(a), "l"(b), "n"(A_DOWN ? 1 : 0), "n"(B_DOWN ? 1 : 0));                                    \
  }
// clang-format off
#define WGMMA_REGISTERS \
      "{%0, %1, %2, %3, %4, %5, %6, %7," \
      " %8, %9, %10, %11, %12, %13, %14, %15," \
      " %16, %17, %18, %19, %20, %21, %22, %23," \
      " %24, %25, %26, %27, %28, %29, %30, %31," \
      " %32, %33, %34, %35, %36, %37, %38, %39," \
      " %40, %41, %42, %43, %44, %45, %46, %47," \
      " %48, %49, %50, %51, %52, %53, %54, %55," \
      " %56, %57, %58, %59, %60, %61, %62, %63," \
      " %64, %65, %66, %67, %68, %69, %70, %71," \
      " %72, %73, %74, %75, %76, %77, %78, %79," \
      " %80, %81, %82, %83, %84, %85, %86, %87," \
      " %88, %89, %90, %91, %92, %93, %94, %95," \
      " %96, %97, %98, %99, %100, %101, %102, %103," \
      " %104, %105, %106, %107, %108, %109, %110, %111," \
      " %112, %113, %114, %115, %116, %117, %118, %119," \
      " %120, %121, %122, %123, %124, %125, %126, %127}, "
// clang-format on
#define WGMMA_LAYOUTS(TYPE, PTX) \
  WGMMA(TYPE, PTX, false, false) \
  WGMMA(TYPE, PTX, false, true)  \
  WGMMA(TYPE, PTX, true, false)  \
  WGMMA(TYPE, PTX, true, true)
WGMMA_LAYOUTS(__half, "f16")
WGMMA_LAYOUTS(__nv_bfloat16, "bf16")
#undef WGMMA_LAYOUTS
#undef WGMMA_REGISTERS
#undef WGMMA
#undef WGMMA_SIXTEEN
#undef WGMMA_FOUR

#endif
