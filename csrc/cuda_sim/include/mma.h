// nvcuda::wmma in the place of NVIDIA's header: products of 16 x 16 x 16 by a warp, of halves or bfloat16 into floats.
// Which lane holds which element of a fragment is nobody's business: here eight neighbours of a row.
#pragma once

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "ptx.h"

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int m, int n, int k, class T, class Layout = void>
struct fragment {
  static_assert(m == 16 && n == 16 && k == 16, "the simulator has 16 x 16 x 16 only");
  static constexpr int num_elements = 8;
  T x[num_elements];
};

template <class Layout>
constexpr bool is_column_major = false;
template <>
constexpr bool is_column_major<col_major> = true;

// Where element i of a lane lies in memory.
inline long place_of(int i, unsigned step, bool columns) {
  const int index = ::cuda_sim::current->lane * 8 + i, row = index / 16, column = index % 16;
  return columns ? static_cast<long>(column) * step + row : static_cast<long>(row) * step + column;
}

#define CUDA_SIM_CALLER \
  ::cuda_sim::Place caller = ::cuda_sim::Place { __builtin_FILE(), __builtin_LINE() }

template <class Use, class T, class Layout>
CUDA_SIM_INLINE void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& to, const T* from, unsigned step,
                                      CUDA_SIM_CALLER) {
  ::cuda_sim::meet("load_matrix_sync", caller);
  for (int i = 0; i < 8; ++i) to.x[i] = from[place_of(i, step, is_column_major<Layout>)];
}

template <class T>
CUDA_SIM_INLINE void store_matrix_sync(T* to, const fragment<accumulator, 16, 16, 16, T>& from, unsigned step,
                                       layout_t layout, CUDA_SIM_CALLER) {
  ::cuda_sim::meet("store_matrix_sync", caller);
  for (int i = 0; i < 8; ++i) to[place_of(i, step, layout == mem_col_major)] = from.x[i];
}

template <class Use, class T, class Layout>
CUDA_SIM_INLINE void fill_fragment(fragment<Use, 16, 16, 16, T, Layout>& to, T value) {
  for (T& x : to.x) x = value;
}

template <class T, class ALayout, class BLayout>
CUDA_SIM_INLINE void mma_sync(fragment<accumulator, 16, 16, 16, float>& d,
                              const fragment<matrix_a, 16, 16, 16, T, ALayout>& a,
                              const fragment<matrix_b, 16, 16, 16, T, BLayout>& b,
                              const fragment<accumulator, 16, 16, 16, float>& c, CUDA_SIM_CALLER) {
  ::cuda_sim::FragmentLane lane{};
  for (int i = 0; i < 8; ++i) lane.a[i] = a.x[i], lane.b[i] = b.x[i], lane.sums[i] = c.x[i];
  ::cuda_sim::multiply_fragments(lane, caller);
  for (int i = 0; i < 8; ++i) d.x[i] = lane.sums[i];
}

#undef CUDA_SIM_CALLER

}  // namespace nvcuda::wmma
