// What the files of the runtime share. Read launch.cpp (the way in), scheduler.cpp (who runs when), warp.cpp (what
// lanes do together), tensor_core.cpp (ldmatrix, mma), async.cpp (copies beside the threads), mbarrier.cpp (barriers in
// memory, copies of boxes), wgmma.cpp (products of warpgroups), shared.cpp (memory of a block), fibers.cpp (stacks),
// watch.cpp (kernels that do not end), checker.cpp (who may touch what; the checked build only), hooks.cpp (how the
// checker hears of loads and stores), trace.cpp (accesses kept one by one).
#pragma once

#include <cstdarg>
#include <string>
#include <vector>

#include "machine.h"
#include "registry.h"

namespace cuda_sim {

// The way in, called from Python: these structures are spelled out again in minigrad/cuda/simulator.py. ---------------

struct Buffer {  // memory that the kernel may touch: one pointer argument
  char* base;
  size_t bytes;
  const char* name;
  int read_only;
};

struct Launch {
  const char* kernel;
  unsigned grid[3], block[3];
  size_t dynamic_shared, max_shared;
  void** arguments;
  int argument_count;
  const Buffer* buffers;
  int buffer_count;
  int order;  // Order
  unsigned seed;
  const char* skipped_file;  // the barrier on this line is passed over, or null
  int skipped_line;
  uint64_t patience;  // steps that a block may take in the checked build; 0 is any number
};

struct Report {  // the first fault; the launch ends with it
  char kind[32];
  char message[1024];  // "@0" and "@1" stand for the source lines of the two code addresses
  char file[256];      // where, if that is known without them
  int line;
  uint64_t code[2];
  unsigned block[3], thread[3];
};

enum class Order { forward, reverse, random };

// The launch that is running. -----------------------------------------------------------------------------------------

struct WarpLanes {
  unsigned live, waiting;  // lane masks
};

struct Region {  // of the shared memory of the running block
  char *begin, *end;
  const char* name;
};

struct Run {
  const Launch* launch;
  const Kernel* kernel;
  Report* report;
  bool failed;
  std::vector<Thread> threads;
  std::vector<WarpLanes> warps;
  std::vector<int> order;  // in which threads are looked at, when that is random
  int live, waiting;       // threads of the block
  unsigned meetings;       // how often all of them have met at a barrier
  int votes[3], voted[3];  // by Vote: coming in, and of the last barrier
  void* scheduler_stack;
  std::vector<Place> barriers;  // that threads came to, each once; in the checked build
};
extern Run run;

uint32_t random_number();
std::vector<int> make_order(int n);

// Report the first fault (`kind` in one word, `format` in a sentence) and leave the kernel for good: its fibers own
// nothing. Called from device code it does not return.
void fail(const char* kind, const char* format, ...) __attribute__((format(printf, 2, 3)));
std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string name_of(const Thread& thread);  // "block (0,0,0) thread (1,2,3)"
void blame(Place place);                    // the fault that is about to be reported lies there

// Scheduling
void run_block(uint3 index);
void wait_here();  // switch from the running thread to the scheduler
bool passes_over(Place barrier);
void complete_collectives(int warp);
const char* name_of(Op op);

// Fibers
void start_fiber(Thread& thread, void (*body)());
void enter_fiber(Thread& thread);
void free_stack(Thread& thread);
// -1 if this is no stack, else whose it is
int stack_at(const void* address);
extern "C" void cuda_sim_switch_stack(void** save, void* load);

// Shared memory
extern char* arena;
constexpr size_t kArena = 512 << 10, kStaticLimit = 48 << 10;
extern std::vector<Region> regions;
void clear_shared();
char* take_shared(size_t bytes, size_t align, const char* name);

// Copies under way (async.cpp)
void clear_copies();
void mark_copy(void* to, size_t bytes, int change, int thread);  // one more, or one less
int copy_under_way(const void* address, size_t bytes);           // the thread that began one there, or -1

// Kernels that do not end
extern bool interrupted;
void watch_launch_begins();
void watch_block_begins();
void watch_launch_ends();

void clear_barriers();  // mbarrier.cpp
void clear_wgmma();     // wgmma.cpp
char* swizzled(char* address);

// What all 32 lanes of a warp do at once, with what each brings.
void together(const char* name, void* lane, void (*body)(void** lanes), Place place);

// What a thread knows of each other one: everything that it did before this time of its warp's clock.
using Knowledge = std::vector<uint32_t>;

// The checker; nothing but empty functions in the fast build. A time is counted up by every barrier and every block.
#ifdef CUDA_SIM_CHECK
void check_launch_begins();
void check_launch_ends();
void check_block_begins();
void check_barrier();
void check_warp_sync(int warp, unsigned lanes);
void check_region(int region);
void check_access(void* at, size_t bytes, bool write, const void* code);
void check_atomic(void* at, size_t bytes, const void* code);
void check_release(Knowledge& known, int thread);  // add what a thread has done and knows
void check_acquire(const Knowledge& known);        // the running thread knows all that from now on
#else
inline void check_launch_begins() {}
inline void check_launch_ends() {}
inline void check_block_begins() {}
inline void check_barrier() {}
inline void check_warp_sync(int, unsigned) {}
inline void check_region(int) {}
inline void check_access(void*, size_t, bool, const void*) {}
inline void check_atomic(void*, size_t, const void*) {}
inline void check_release(Knowledge&, int) {}
inline void check_acquire(const Knowledge&) {}
#endif

}  // namespace cuda_sim
