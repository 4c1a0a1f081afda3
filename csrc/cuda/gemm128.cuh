// y (m, n) = a (m, k) b (k, n) for large m and n: a block of 256 threads computes 128 x 128 results, each thread 8 x 8
// of them in registers. Operands are read four elements at a time and lie in shared memory k by k, so that four
// neighbours are read from there at once too: an a that lies in rows is transposed on its way. Two rungs:
//
//   vectorized   the results of a thread are a square
//   warp_tiled   those of a warp are a rectangle, 64 x 32, those of a thread four squares in it: the lanes of a warp
//                read side by side, or the same, and no two of them wait for one bank. Meanwhile the next tiles are on
//                their way to registers and, as shared memory holds two of each, there is one barrier for each slab
//
// The sum over k runs in order.
#pragma once

#include "gemm.cuh"

namespace {

constexpr int kSide = 128, kSlab = 8, kHalf = 4;  // of a block's results; along k; a thread has two halves each way

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 1000
constexpr int kUnroll = 2;  // steps along k: with more there, registers do not suffice
#else
constexpr int kUnroll = kSlab;
#endif

template <class Index>
using Corner128 = Corner<kSide, kSide, Index>;

struct Slab {
  float at[kSlab][kSide + 4];  // padded: the two halves of a row of a that are transposed go to other banks
};

__device__ __forceinline__ bool in_fours(const void* p, Size step) {
  return (reinterpret_cast<unsigned long long>(p) / sizeof(float) | static_cast<unsigned long long>(step)) % 4 == 0;
}

// The first `there` of four elements, 0 for the others; at once if they are `fours`, which lie on 16 bytes.
__device__ __forceinline__ float4 read4(const float* at, int there, bool fours) {
  if (fours && there >= 4) return *reinterpret_cast<const float4*>(at);
  return make_float4(there > 0 ? at[0] : 0.0f, there > 1 ? at[1] : 0.0f, there > 2 ? at[2] : 0.0f,
                     there > 3 ? at[3] : 0.0f);
}

__device__ __forceinline__ void write4(float* at, const float4& v, int there, bool fours) {
  if (fours && there >= 4) {
    *reinterpret_cast<float4*>(at) = v;
    return;
  }
  at[0] = v.x;
  if (there > 1) at[1] = v.y;
  if (there > 2) at[2] = v.z;
  if (there > 3) at[3] = v.w;
}

// Which four elements of a slab this thread loads: neighbours along k or, where k is the slower, across.
template <Along Lies>
struct Share {
  int across, d;

  __device__ __forceinline__ Share()
      : across(Lies == Along::depth ? threadIdx.x / 2 : threadIdx.x % 32 * 4),
        d(Lies == Along::depth ? threadIdx.x % 2 * 4 : threadIdx.x / 32) {}

  __device__ __forceinline__ void write(Slab& slab, const float4& v) const {
    if (Lies == Along::width) {
      *reinterpret_cast<float4*>(&slab.at[d][across]) = v;
      return;
    }
    slab.at[d][across] = v.x;
    slab.at[d + 1][across] = v.y;
    slab.at[d + 2][across] = v.z;
    slab.at[d + 3][across] = v.w;
  }
};

// A thread's way through rows of a or columns of b, slab by slab: the first of its four elements, and how many rows or
// columns there are from there.
template <Along Lies>
struct Panel {
  const float* at;
  int step, there, depth;
  bool fours;

  // from row or column `first` of `end`, `step` apart where k is not
  __device__ __forceinline__ Panel(const float* data, Size step, int first, int end, int depth)
      : step(static_cast<int>(step)), depth(depth), fours(in_fours(data, step)) {
    const Share<Lies> share;
    const int across = first + share.across;
    at = data + (Lies == Along::depth ? across * step + share.d : share.d * step + across);
    there = end - across;
  }

  // The slab at k0, to be asked for in order.
  __device__ __forceinline__ float4 next(int k0) {
    const int left = depth - k0 - Share<Lies>().d;
    const float4 v =
        Lies == Along::depth ? read4(at, there > 0 ? left : 0, fours) : read4(at, left > 0 ? there : 0, fours);
    at += Lies == Along::depth ? kSlab : Size{kSlab} * step;
    return v;
  }
};

// Eight neighbours of a slab, or two times four that lie `Gap` apart.
template <int Gap>
__device__ __forceinline__ void fetch(float (&out)[2 * kHalf], const float* from) {
  const float4 low = *reinterpret_cast<const float4*>(from), high = *reinterpret_cast<const float4*>(from + Gap);
  out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
  out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
}

// The results of a thread: rows row .. row + 3 and those RowGap further down, the same with columns.
template <int RowGap, int ColumnGap>
struct Results {
  int row, column;
  float sums[2 * kHalf][2 * kHalf] = {};

  __device__ __forceinline__ Results(int row, int column) : row(row), column(column) {}

  template <int Begin = 0, int End = kSlab>
  __device__ __forceinline__ void add_products(const Slab& a, const Slab& b) {
#pragma unroll kUnroll
    for (int d = Begin; d < End; ++d) {
      float left[2 * kHalf], right[2 * kHalf];
      fetch<RowGap>(left, &a.at[d][row]);
      fetch<ColumnGap>(right, &b.at[d][column]);
#pragma unroll
      for (int i = 0; i < 2 * kHalf; ++i)
#pragma unroll
        for (int j = 0; j < 2 * kHalf; ++j) sums[i][j] += left[i] * right[j];
    }
  }

  // store(four sums side by side, row, column of the first)
  template <class Index, class Store>
  __device__ __forceinline__ void store(Index row0, Index column0, Index m, Index n, const Store& store) const {
#pragma unroll
    for (int i = 0; i < 2 * kHalf; ++i)
#pragma unroll
      for (int j = 0; j < 2 * kHalf; j += kHalf) {
        const Index r = row0 + row + i % kHalf + i / kHalf * RowGap, c = column0 + column + j / kHalf * ColumnGap;
        if (r < m && c < n) store(make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]), r, c);
      }
  }
};

template <Along A, Along B, class Index, class PanelA, class PanelB, class Store>
__device__ __forceinline__ void gemm_vectorized(const Corner128<Index>& corner, Index m, Index n, Index k, PanelA a,
                                                PanelB b, const Store& store) {
  __shared__ Slab a_slab;
  __shared__ Slab b_slab;
  Results<kHalf, kHalf> results(threadIdx.x / 16 * 8, threadIdx.x % 16 * 8);
  for (Index k0 = 0; k0 < k; k0 += kSlab) {
    Share<A>().write(a_slab, a.next(k0));
    Share<B>().write(b_slab, b.next(k0));
    __syncthreads();
    results.add_products(a_slab, b_slab);
    __syncthreads();  // before the next slabs are written
  }
  results.store(corner.row, corner.column, m, n, store);
}

template <Along A, Along B, class Index, class PanelA, class PanelB, class Store>
__device__ __forceinline__ void gemm_warp_tiled(const Corner128<Index>& corner, Index m, Index n, Index k, PanelA a,
                                                PanelB b, const Store& store) {
  __shared__ Slab a_slabs[2];
  __shared__ Slab b_slabs[2];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;  // 2 x 4 warps of 8 x 4 lanes
  Results<32, 16> results(warp / 4 * 64 + lane / 4 * kHalf, warp % 4 * 32 + lane % 4 * kHalf);
  Share<A>().write(a_slabs[0], a.next(0));
  Share<B>().write(b_slabs[0], b.next(0));
  int now = 0;
  for (Index k0 = 0; k0 < k; k0 += kSlab, now ^= 1) {
    __syncthreads();  // this slab is there, and the other one was read
    const float4 next_a = a.next(k0 + kSlab);
    results.template add_products<0, kSlab / 2>(a_slabs[now], b_slabs[now]);
    Share<A>().write(a_slabs[now ^ 1], next_a);
    const float4 next_b = b.next(k0 + kSlab);
    results.template add_products<kSlab / 2, kSlab>(a_slabs[now], b_slabs[now]);
    Share<B>().write(b_slabs[now ^ 1], next_b);
  }
  results.store(corner.row, corner.column, m, n, store);
}

}  // namespace
