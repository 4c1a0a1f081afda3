// Atomics. One host thread runs a launch and threads change places only where they wait, so a plain read and write is
// atomic; the checker is told, so that a plain access beside it still counts as a race.
#pragma once

#include <type_traits>

#include "machine.h"

#define CUDA_SIM_ATOMIC(NAME, VALUE)                                                          \
  template <class T>                                                                          \
  CUDA_SIM_UNSEEN __attribute__((noinline)) T NAME(T* address, std::common_type_t<T> given) { \
    ::cuda_sim::note_atomic(address, sizeof(T), __builtin_return_address(0));                 \
    const T old = *address;                                                                   \
    *address = static_cast<T>(VALUE);                                                         \
    return old;                                                                               \
  }
CUDA_SIM_ATOMIC(atomicAdd, old + given)
CUDA_SIM_ATOMIC(atomicSub, old - given)
CUDA_SIM_ATOMIC(atomicExch, given)
CUDA_SIM_ATOMIC(atomicMin, given < old ? given : old)
CUDA_SIM_ATOMIC(atomicMax, old < given ? given : old)
CUDA_SIM_ATOMIC(atomicAnd, old& given)
CUDA_SIM_ATOMIC(atomicOr, old | given)
CUDA_SIM_ATOMIC(atomicXor, old ^ given)
CUDA_SIM_ATOMIC(atomicInc, old >= given ? 0 : old + 1)
CUDA_SIM_ATOMIC(atomicDec, old == 0 || old > given ? given : old - 1)
#undef CUDA_SIM_ATOMIC

template <class T>
CUDA_SIM_UNSEEN
    __attribute__((noinline)) T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> given) {
  ::cuda_sim::note_atomic(address, sizeof(T), __builtin_return_address(0));
  const T old = *address;
  if (old == expected) *address = given;
  return old;
}

// Among the threads of a block a fence orders nothing that the checker looks at: only barriers do.
CUDA_SIM_INLINE void __threadfence() { ::cuda_sim::note_fence(); }
CUDA_SIM_INLINE void __threadfence_block() {}
