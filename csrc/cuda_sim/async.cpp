// Copies that run beside the threads. cp.async: each thread has a queue of groups of 16-byte copies; what is copied
// arrives in shared memory when the thread waits for the group, and not before, so that a wait that is missing shows.

#include <algorithm>

#include "include/ptx.h"
#include "runtime.h"

namespace cuda_sim {

namespace {

struct Copy {
  char* to;
  uint64_t data[2];
};

struct Queue {  // of one thread
  std::vector<Copy> copies;
  std::vector<size_t> groups;  // how many copies each committed group has, oldest first
  size_t open = 0;             // copies of the group that is not committed yet
};

std::vector<Queue> queues;

constexpr size_t kGranule = 16;
std::vector<std::pair<uint16_t, uint16_t>> under_way;  // for each granule of the arena: how many copies, whose the last
long copies_under_way;

size_t granule(const void* address) { return (static_cast<const char*>(address) - arena) / kGranule; }

bool is_shared(const void* at, size_t bytes) {
  const char* address = static_cast<const char*>(at);
  return address >= arena && address + bytes <= arena + kArena;
}

bool is_aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % kGranule == 0; }

void land(const Copy& copy, const void* code) {
  mark_copy(copy.to, kGranule, -1, current->linear);
  check_access(copy.to, kGranule, true, code);
  memcpy(copy.to, copy.data, kGranule);
}

}  // namespace

void clear_copies() {
  queues.assign(run.threads.size(), Queue{});
  under_way.assign(kArena / kGranule, {0, 0});
  copies_under_way = 0;
}

void mark_copy(void* to, size_t bytes, int change, int thread) {
  copies_under_way += change;
  for (size_t g = granule(to); g < granule(static_cast<char*>(to) + bytes); ++g)
    under_way[g] = {static_cast<uint16_t>(under_way[g].first + change), static_cast<uint16_t>(thread)};
}

int copy_under_way(const void* address, size_t bytes) {
  if (!copies_under_way) return -1;
  for (size_t g = granule(address); g <= granule(static_cast<const char*>(address) + bytes - 1); ++g)
    if (under_way[g].first) return under_way[g].second;
  return -1;
}

void copy_async(void* to, const void* from, bool there, Place place) {
  const void* code = __builtin_return_address(0);
  blame(place);
  if (!is_aligned(to) || !is_aligned(from))
    fail("misaligned", "cp.async of 16 bytes from %p to %p at %s:%d: both need an alignment of 16 bytes, in %s", from,
         to, place.file, place.line, name_of(*current).c_str());
  if (!is_shared(to, kGranule))
    fail("out of bounds", "cp.async to %p at %s:%d: that is no shared memory, in %s", to, place.file, place.line,
         name_of(*current).c_str());
  if (there) check_access(const_cast<void*>(from), kGranule, false, code);
  check_access(to, kGranule, true, code);
  Copy copy{static_cast<char*>(to), {0, 0}};
  if (there) memcpy(copy.data, from, kGranule);
  mark_copy(to, kGranule, 1, current->linear);
  Queue& queue = queues[current->linear];
  queue.copies.push_back(copy);
  ++queue.open;
}

void copy_commit() {
  Queue& queue = queues[current->linear];
  queue.groups.push_back(queue.open);
  queue.open = 0;
}

void copy_wait(int groups_left) {
  Queue& queue = queues[current->linear];
  while (queue.groups.size() > static_cast<size_t>(groups_left)) {
    const size_t count = queue.groups.front();
    for (size_t i = 0; i < count; ++i) land(queue.copies[i], __builtin_return_address(0));
    queue.copies.erase(queue.copies.begin(), queue.copies.begin() + static_cast<long>(count));
    queue.groups.erase(queue.groups.begin());
  }
}

}  // namespace cuda_sim
