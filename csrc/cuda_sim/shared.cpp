// The shared memory of the running block: variables one behind the other, with gaps, filled with NaN.

#include <sys/mman.h>

#include <algorithm>

#include "runtime.h"

namespace cuda_sim {

char* arena;
std::vector<Region> regions;
SharedVariable shared_variables[kMaxSharedVariables];

namespace {
constexpr size_t kGap = 256;  // so that running off the end of one variable is not arriving in the next
size_t top, used;
int variables;
}  // namespace

void clear_shared() {
  if (!arena)
    arena = static_cast<char*>(mmap(nullptr, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  top = kGap, used = 0;
  regions.clear();
}

char* take_shared(size_t bytes, size_t align, const char* name) {
  const size_t begin = (top + align - 1) / align * align;
  used += bytes;
  if (used > run.launch->max_shared || begin + bytes + kGap > kArena)
    return fail("limit", "shared memory of the block grows to %zu bytes with `%s`, at most %zu were expected", used,
                name, run.launch->max_shared),
           arena;
  top = begin + bytes + kGap;
  memset(arena + begin, 0xff, bytes);
  regions.push_back({arena + begin, arena + begin + bytes, name});
  check_region(static_cast<int>(regions.size()) - 1);
  return arena + begin;
}

int new_shared_variable() {
  if (variables == kMaxSharedVariables) fail("limit", "more than %d shared variables", kMaxSharedVariables);
  return variables++;
}

void* allocate_shared(int variable, size_t bytes, size_t align, const char* name, Place place) {
  blame(place);
  if (bytes > kStaticLimit)
    fail("limit", "shared `%s` of %zu bytes at %s:%d: at most 49152 can be declared, more must be dynamic", name, bytes,
         place.file, place.line);
  shared_variables[variable] = {block.serial, take_shared(bytes, std::max<size_t>(align, 16), name)};
  return shared_variables[variable].memory;
}

void* dynamic_shared(Place place) {
  if (!block.dynamic_shared) trap("`extern __shared__` in a launch without dynamic shared memory", place);
  return block.dynamic_shared;
}

}  // namespace cuda_sim
