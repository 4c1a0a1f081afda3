// The functions of csrc/cuda/ptx.cuh, which stand there for single PTX instructions, as the simulator has them. They
// are macros, so that each knows the line that it stands on.
//
// What is modelled: a copy by cp.async or TMA is under way until it is waited for, its target must not be touched
// before; to other threads it is a write at its begin and again at its end. ldmatrix reads as the lane that gave the
// row. What is not: that copies may land early or in part, and caches.
#pragma once

#include "../machine.h"
#include "../warp.h"

namespace cuda_sim {

struct MatrixLane {  // what a lane brings to ldmatrix
  const void* row;
  unsigned* out;
  bool transposed;
};

struct ProductLane {  // what a lane brings to mma
  float* sums;
  const unsigned *a, *b;
};

// What a kernel is told of an array that boxes are copied from; on a GPU what the driver made of that. The words are
// spelled out again in minigrad/cuda/tensor_map.py.
struct alignas(64) TensorMap {
  const char* base;
  uint64_t sizes[3];    // elements: along a row, rows, matrices
  uint64_t steps[2];    // bytes from row to row, from matrix to matrix
  uint64_t box[2];      // elements along a row, rows
  uint64_t element;     // bytes
  uint64_t nothing[7];  // 128 bytes in all
};

struct MatrixDescriptor {  // of an operand of wgmma
  const char* base;
  int lead, stride;
};

struct WgmmaLane {  // what a lane brings to wgmma
  float* sums;
  MatrixDescriptor a, b;
  bool a_down, b_down, half;
};

struct FragmentLane {  // what a lane brings to wmma: eight neighbours in a row of 16 x 16
  float a[8], b[8], sums[8];
};
void multiply_fragments(FragmentLane& lane, Place place);
void meet(const char* what, Place place);  // all lanes of the warp come here; it orders no memory

void copy_async(void* to, const void* from, bool there, Place place);
void copy_commit();
void copy_wait(int groups_left);
void load_matrices(MatrixLane& lane, Place place);
void multiply_bfloat16(ProductLane& lane, Place place);
void multiply_float16(ProductLane& lane, Place place);

void barrier_init(void* barrier, int arrivals);
void barrier_fence();
void barrier_arrive(void* barrier, unsigned bytes, Place place);
void barrier_wait(void* barrier, unsigned parity, Place place);
void copy_box(void* to, const TensorMap* map, void* barrier, const int (&at)[3], Place place);
void wgmma_fence_all();
void wgmma_issue(WgmmaLane& lane, Place place);
void wgmma_commit_group(Place place);
void wgmma_wait_groups(int left, Place place);

struct Ptx {
  Place place;

  CUDA_SIM_INLINE void copy_16(void* to, const void* from, bool there) const { copy_async(to, from, there, place); }
  CUDA_SIM_INLINE void commit() const { copy_commit(); }
  template <int left>
  CUDA_SIM_INLINE void wait() const {
    copy_wait(left);
  }

  template <bool transposed>
  CUDA_SIM_INLINE void matrices(unsigned (&out)[4], const void* row) const {
    MatrixLane lane{row, out, transposed};
    load_matrices(lane, place);
  }

  template <class T>
  CUDA_SIM_INLINE void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) const {
    ProductLane lane{sums, a, b};
    (is_half(static_cast<T*>(nullptr)) ? multiply_float16 : multiply_bfloat16)(lane, place);
  }

  CUDA_SIM_INLINE void init(void* barrier, int arrivals) const { barrier_init(barrier, arrivals); }
  CUDA_SIM_INLINE void fence_init() const { barrier_fence(); }
  CUDA_SIM_INLINE void arrive(void* barrier) const { barrier_arrive(barrier, 0, place); }
  CUDA_SIM_INLINE void expect(void* barrier, unsigned bytes) const { barrier_arrive(barrier, bytes, place); }
  CUDA_SIM_INLINE void await(void* barrier, unsigned parity) const { barrier_wait(barrier, parity, place); }
  CUDA_SIM_INLINE void box(void* to, const TensorMap* map, void* barrier, int x, int y, int z) const {
    copy_box(to, map, barrier, {x, y, z}, place);
  }

  static CUDA_SIM_INLINE MatrixDescriptor descriptor(const void* tile, int lead, int stride) {
    return {static_cast<const char*>(tile), lead, stride};
  }
  CUDA_SIM_INLINE void fence() const { wgmma_fence_all(); }
  template <class T, bool a_down, bool b_down>
  CUDA_SIM_INLINE void wgmma(float (&sums)[128], MatrixDescriptor a, MatrixDescriptor b) const {
    WgmmaLane lane{sums, a, b, a_down, b_down, is_half(static_cast<T*>(nullptr))};
    wgmma_issue(lane, place);
  }
  CUDA_SIM_INLINE void commit_wgmma() const { wgmma_commit_group(place); }
  template <int left>
  CUDA_SIM_INLINE void wait_wgmma() const {
    wgmma_wait_groups(left, place);
  }
  template <int registers>
  CUDA_SIM_INLINE void keep_registers() const {}

 private:
  static constexpr bool is_half(const struct __half*) { return true; }
  static constexpr bool is_half(const void*) { return false; }
};

}  // namespace cuda_sim

#define CUDA_SIM_PTX \
  ::cuda_sim::Ptx { CUDA_SIM_HERE }
#define cp_async_16 CUDA_SIM_PTX.copy_16
#define cp_async_commit CUDA_SIM_PTX.commit
#define cp_async_wait CUDA_SIM_PTX.wait
#define ldmatrix_x4 CUDA_SIM_PTX.matrices
#define mma_m16n8k16 CUDA_SIM_PTX.multiply

using TensorMap = ::cuda_sim::TensorMap;
using MatrixDescriptor = ::cuda_sim::MatrixDescriptor;
#define mbarrier_init CUDA_SIM_PTX.init
#define fence_mbarrier_init CUDA_SIM_PTX.fence_init
#define mbarrier_arrive CUDA_SIM_PTX.arrive
#define mbarrier_expect CUDA_SIM_PTX.expect
#define mbarrier_wait CUDA_SIM_PTX.await
#define tma_load_3d CUDA_SIM_PTX.box
#define wgmma_descriptor ::cuda_sim::Ptx::descriptor
#define wgmma_fence CUDA_SIM_PTX.fence
#define wgmma_m64n256k16 CUDA_SIM_PTX.wgmma
#define wgmma_commit CUDA_SIM_PTX.commit_wgmma
#define wgmma_wait CUDA_SIM_PTX.wait_wgmma
#define setmaxnreg_dec CUDA_SIM_PTX.keep_registers
#define setmaxnreg_inc CUDA_SIM_PTX.keep_registers
