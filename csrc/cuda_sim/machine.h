// The simulated machine as device code sees it: the running thread and block, and what it may ask of the runtime.
//
// Every CUDA thread is a fiber. It runs until it waits (for its block, or for lanes of its warp) or ends; the blocks of
// a launch run one after another. One thread of the host does all of it, so plain globals hold the state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vectors.h"

// The checker must not see what the simulator itself reads and writes on behalf of a kernel.
#define CUDA_SIM_UNSEEN __attribute__((no_sanitize("thread", "undefined")))
#ifdef CUDA_SIM_DEBUG  // a debugger can pass over functions, not over what was inlined
#define CUDA_SIM_INLINE inline
#else
#define CUDA_SIM_INLINE inline __attribute__((always_inline))
#endif

namespace cuda_sim {

constexpr int kWarp = 32;

struct Place {
  const char* file;
  int line;
};

enum class Status { fresh, ready, waits_for_block, waits_for_warp, waits_for_mbarrier, ended };

// What the lanes of a warp do together.
enum class Op { sync, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot, match, add, min, max, together };

struct Collective {
  Op op;
  unsigned mask;
  uint64_t value;   // what this lane brings
  int argument;     // lane, distance or lane mask of a shuffle
  int width;        // lanes per segment of a shuffle
  uint64_t result;  // what it gets
  // Op::together: what is done once, with what each lane brought (`value` as an address); all 32 must be there.
  const char* name;
  void (*body)(void** lanes);
};

struct Thread {
  uint3 index;
  int linear, lane, warp;
  Status status;
  void* stack_pointer;
  int stack;            // which stack it has, or -1
  const char* waiting;  // what it waits at, and where in the source
  Place place;
  Collective collective;
};

struct Block {
  uint3 index;
  unsigned serial;  // counts all blocks ever run: tells this one's shared variables from those of the last
  char* dynamic_shared;
};

extern Thread* current;  // null outside of kernels
extern Block block;
extern dim3 block_dim, grid_dim;

void barrier(Place place);
enum class Vote { count, all, any };
int barrier_vote(Vote vote, bool predicate, Place place);
uint64_t collective(Collective wanted, Place place);
unsigned live_lanes();  // of the running thread's warp

void* dynamic_shared(Place place);
int new_shared_variable();
void* allocate_shared(int variable, size_t bytes, size_t align, const char* name, Place place);

[[noreturn]] void trap(const char* what, Place place);
void note_fence();
void note_atomic(void* address, size_t bytes, void* code);  // before the running thread updates it atomically

// A `__shared__` variable: each declaration (its Tag) has a number, and memory of its own in every block.
struct SharedVariable {
  unsigned block;
  void* memory;
};
constexpr int kMaxSharedVariables = 1024;
extern SharedVariable shared_variables[kMaxSharedVariables];

template <class T, class Tag>
CUDA_SIM_INLINE T* shared_variable(Tag, const char* name, size_t align, Place place) {
  static const int variable = new_shared_variable();
  SharedVariable& known = shared_variables[variable];
  if (known.block == block.serial) return static_cast<T*>(known.memory);
  return static_cast<T*>(allocate_shared(variable, sizeof(T), align > alignof(T) ? align : alignof(T), name, place));
}

template <class To, class From>
CUDA_SIM_INLINE To bit_copy(From from) {
  static_assert(sizeof(From) <= sizeof(uint64_t) && sizeof(To) <= sizeof(uint64_t), "at most 8 bytes");
  uint64_t bits = 0;
  To to;
  __builtin_memcpy(&bits, &from, sizeof from);
  __builtin_memcpy(&to, &bits, sizeof to);
  return to;
}

}  // namespace cuda_sim
