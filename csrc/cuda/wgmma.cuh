// The rung "wgmma" (sm_90a): y (m, n) = a (m, k) b (k, n) by products of warpgroups straight from shared memory.
//
// A block computes 128 x 256 results from tiles of 64 along k. One thread of the first warpgroup, the producer, has
// whole boxes of 64 x 64 copied into a ring of four stages (TMA), which swizzles them as wgmma reads them and puts
// zeros for what lies outside; two warpgroups, the consumers, multiply 64 x 256 each and have most of the registers.
// Each stage has two barriers: `full` when its boxes have come, `empty` when all eight warps of the consumers are done
// with it.
#pragma once

#include "finish.cuh"
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(CUDA_SIM)
#include "ptx_sm90a.cuh"

namespace {

struct Wgmma {
  static constexpr int kHeight = 128, kWidth = 256, kDepth = 64, kBox = 64, kStages = 4, kThreads = 384;
  static constexpr int kBoxElements = kBox * kBox, kBoxBytes = 2 * kBoxElements;
  static constexpr int kBoxes = (kHeight + kWidth) / kBox, kStageBytes = kBoxes * kBoxBytes;
  static constexpr int kAlign = 1024;  // of what is swizzled
  static constexpr int kConsumerWarps = 8;
  using Results = Room<4>;
  // bytes of shared memory (minigrad/cuda/launches/matmul_half.py): the stages, where they begin, results on their way
  static constexpr int kShared = kStages * kStageBytes + kAlign + kConsumerWarps * Results::kFloats * 4;
};

// The boxes of an operand's tile, each 64 wide and 64 deep; `Down` if k runs down its rows.
template <bool Down, class T>
__device__ __forceinline__ void load_boxes(T* tile, const TensorMap* map, unsigned long long* full, int boxes,
                                           int width, int depth, int z) {
  for (int i = 0; i < boxes; ++i) {
    const int w = width + i * Wgmma::kBox;
    tma_load_3d(tile + i * Wgmma::kBoxElements, map, full, Down ? w : depth, Down ? depth : w, z);
  }
}

// 16 of a tile along k from `depth` on.
template <bool Down, class T>
__device__ __forceinline__ MatrixDescriptor part_of(const T* tile, int depth) {
  return wgmma_descriptor(tile + (Down ? depth * Wgmma::kBox : depth), Wgmma::kBoxBytes, 1024);
}

template <class T, bool ADown, bool BDown>
struct WgmmaProduct {
  T* stages;
  unsigned long long *full, *empty;  // a barrier of each for every stage
  int steps;

  __device__ __forceinline__ T* stage(int step) const {
    return stages + step % Wgmma::kStages * (Wgmma::kStageBytes / static_cast<int>(sizeof(T)));
  }

  // How often its ring has gone round, as the parity of a phase.
  static __device__ __forceinline__ unsigned round(int step) { return step / Wgmma::kStages & 1; }

  // By one thread. A stage that was never filled counts as emptied: the phase before the first.
  __device__ __forceinline__ void produce(const TensorMap* a, const TensorMap* b, int row, int column, int a_z,
                                          int b_z) const {
    for (int step = 0; step < steps; ++step) {
      const int slot = step % Wgmma::kStages, depth = step * Wgmma::kDepth;
      mbarrier_wait(&empty[slot], round(step) ^ 1);
      mbarrier_expect(&full[slot], Wgmma::kStageBytes);
      load_boxes<ADown>(stage(step), a, &full[slot], Wgmma::kHeight / Wgmma::kBox, row, depth, a_z);
      load_boxes<BDown>(stage(step) + Wgmma::kHeight / Wgmma::kBox * Wgmma::kBoxElements, b, &full[slot],
                        Wgmma::kWidth / Wgmma::kBox, column, depth, b_z);
    }
  }

  // By a warpgroup: its 64 rows. The products of one step are under way while the next are begun; the first step stands
  // before the loop, so that within it nothing but wgmma writes to the sums. There is at least one.
  __device__ __forceinline__ void consume(float (&sums)[128], int group) const {
    begin(sums, group, 0);
#pragma unroll 1
    for (int step = 1; step < steps; ++step) {
      begin(sums, group, step);
      wgmma_wait<1>();
      release(step - 1);
    }
    wgmma_wait<0>();
  }

  __device__ __forceinline__ void begin(float (&sums)[128], int group, int step) const {
    mbarrier_wait(&full[step % Wgmma::kStages], round(step));
    const T* a = stage(step) + group * Wgmma::kBoxElements;
    const T* b = stage(step) + Wgmma::kHeight / Wgmma::kBox * Wgmma::kBoxElements;
    wgmma_fence();
#pragma unroll
    for (int d = 0; d < Wgmma::kDepth; d += 16)
      wgmma_m64n256k16<T, ADown, BDown>(sums, part_of<ADown>(a, d), part_of<BDown>(b, d));
    wgmma_commit();
  }

  // The products of a step are done: its stage may be filled again.
  __device__ __forceinline__ void release(int step) const {
    if (threadIdx.x % kWarp == 0) mbarrier_arrive(&empty[step % Wgmma::kStages]);
  }
};

// Results of the block at (row, column). a is stored (k, m) if ADown, else (m, k); b (k, n) if BDown, else (n, k).
template <class T, bool ADown, bool BDown>
__device__ __forceinline__ void wgmma_product(const Finish<T>& finish, const TensorMap* a, const TensorMap* b, int k,
                                              int row, int column, int a_z, int b_z) {
  extern __shared__ __align__(1024) unsigned char memory[];
  __shared__ unsigned long long full[Wgmma::kStages];
  __shared__ unsigned long long empty[Wgmma::kStages];
  unsigned char* aligned = memory + (-reinterpret_cast<Size>(memory) & (Wgmma::kAlign - 1));
  const WgmmaProduct<T, ADown, BDown> product{reinterpret_cast<T*>(aligned), full, empty,
                                              (k + Wgmma::kDepth - 1) / Wgmma::kDepth};
  if (threadIdx.x == 0) {
    for (int i = 0; i < Wgmma::kStages; ++i)
      mbarrier_init(&full[i], 1), mbarrier_init(&empty[i], Wgmma::kConsumerWarps);
    fence_mbarrier_init();
  }
  __syncthreads();
  const int group = threadIdx.x / 128 - 1;
  if (group < 0) {
    setmaxnreg_dec<24>();
    if (threadIdx.x == 0) product.produce(a, b, row, column, a_z, b_z);
    return;
  }
  setmaxnreg_inc<240>();
  float sums[128] = {};
  product.consume(sums, group);
  const int warp = threadIdx.x / kWarp - 4;
  float* room =
      reinterpret_cast<float*>(aligned + Wgmma::kStages * Wgmma::kStageBytes) + warp * Wgmma::Results::kFloats;
#pragma unroll
  for (int i = 0; i < 8; ++i)
    Wgmma::Results::store(finish, room, row + 16 * warp, column + 32 * i, [&](int j, int h) {
      return make_float2(sums[16 * i + 4 * j + 2 * h], sums[16 * i + 4 * j + 2 * h + 1]);
    });
}

}  // namespace
#endif
