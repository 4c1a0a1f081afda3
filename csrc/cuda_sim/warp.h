// Barriers, shuffles, votes and reductions. They are macros, so that each knows the line that it stands on.
#pragma once

#include "machine.h"

#define CUDA_SIM_HERE (::cuda_sim::Place{__FILE__, __LINE__})

#define __syncthreads() ::cuda_sim::barrier(CUDA_SIM_HERE)
#define __syncthreads_count(predicate) ::cuda_sim::barrier_vote(::cuda_sim::Vote::count, predicate, CUDA_SIM_HERE)
#define __syncthreads_and(predicate) ::cuda_sim::barrier_vote(::cuda_sim::Vote::all, predicate, CUDA_SIM_HERE)
#define __syncthreads_or(predicate) ::cuda_sim::barrier_vote(::cuda_sim::Vote::any, predicate, CUDA_SIM_HERE)

#define __syncwarp ::cuda_sim::Warp{CUDA_SIM_HERE}.sync
#define __shfl_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.shuffle<::cuda_sim::Op::shuffle>
#define __shfl_up_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.shuffle<::cuda_sim::Op::shuffle_up>
#define __shfl_down_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.shuffle<::cuda_sim::Op::shuffle_down>
#define __shfl_xor_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.shuffle<::cuda_sim::Op::shuffle_xor>
#define __ballot_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.ballot
#define __any_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.any
#define __all_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.all
#define __match_any_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.match
#define __reduce_add_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.reduce<::cuda_sim::Op::add>
#define __reduce_min_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.reduce<::cuda_sim::Op::min>
#define __reduce_max_sync ::cuda_sim::Warp{CUDA_SIM_HERE}.reduce<::cuda_sim::Op::max>

namespace cuda_sim {

struct Warp {
  Place place;

  CUDA_SIM_INLINE void sync(unsigned mask = 0xffffffffu) const { collective({Op::sync, mask, 0, 0, kWarp, 0}, place); }

  template <Op op, class T>
  CUDA_SIM_INLINE T shuffle(unsigned mask, T value, int argument, int width = kWarp) const {
    return bit_copy<T>(collective({op, mask, bit_copy<uint64_t>(value), argument, width, 0}, place));
  }

  CUDA_SIM_INLINE unsigned ballot(unsigned mask, bool predicate) const {
    return static_cast<unsigned>(collective({Op::ballot, mask, predicate, 0, kWarp, 0}, place));
  }
  CUDA_SIM_INLINE int any(unsigned mask, bool predicate) const { return ballot(mask, predicate) != 0; }
  CUDA_SIM_INLINE int all(unsigned mask, bool predicate) const { return ballot(mask, !predicate) == 0; }

  template <class T>
  CUDA_SIM_INLINE unsigned match(unsigned mask, T value) const {
    return static_cast<unsigned>(collective({Op::match, mask, bit_copy<uint64_t>(value), 0, kWarp, 0}, place));
  }

  template <Op op, class T>
  CUDA_SIM_INLINE T reduce(unsigned mask, T value) const {
    const auto wide = static_cast<uint64_t>(static_cast<int64_t>(value));
    return static_cast<T>(collective({op, mask, wide, 0, kWarp, 0}, place));
  }
};

}  // namespace cuda_sim
