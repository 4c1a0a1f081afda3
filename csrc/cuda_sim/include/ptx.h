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

void copy_async(void* to, const void* from, bool there, Place place);
void copy_commit();
void copy_wait(int groups_left);
void load_matrices(MatrixLane& lane, Place place);
void multiply_bfloat16(ProductLane& lane, Place place);
void multiply_float16(ProductLane& lane, Place place);

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
