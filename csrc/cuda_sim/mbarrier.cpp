// mbarriers, and the copies of whole boxes (TMA) that complete them. A wait lets other threads run until the phase is
// complete; what a box brings arrives when somebody waits for it, and not before. Arriving publishes what a thread did,
// waiting acquires it.

#include <algorithm>
#include <map>

#include "include/ptx.h"
#include "runtime.h"

namespace cuda_sim {

namespace {

struct BulkCopy {
  char* to;
  TensorMap map;
  int at[3];
  int thread;

  size_t bytes() const { return map.box[0] * map.box[1] * map.element; }
};

struct Phases {
  unsigned expected, pending, phase = 0;
  size_t bytes = 0;  // that are to come in this phase
  int maker = 0;     // the thread that initialised it, and how often all had met by then
  unsigned made = 0;
  bool fenced = false;  // whether the machine beside the threads knows of it
  std::vector<BulkCopy> copies;
  std::vector<int> waiting;  // threads
  Knowledge coming, known;   // of those who arrived, by now and at the last phase's end
};

std::map<const void*, Phases> barriers;

Phases& phases_of(void* barrier, const char* what, Place place, const void* code) {
  check_atomic(barrier, sizeof(uint64_t), code);
  const auto found = barriers.find(barrier);
  blame(place);
  if (found != barriers.end()) {
    Phases& b = found->second;
    if (b.made == run.meetings && b.maker / kWarp != current->warp)
      fail("race", "%s at %s:%d of an mbarrier that another warp initialised, with no __syncthreads since, in %s", what,
           place.file, place.line, name_of(*current).c_str());
    return b;
  }
  fail("uninitialised", "%s at %s:%d of an mbarrier that is not initialised, in %s", what, place.file, place.line,
       name_of(*current).c_str());
  return barriers[barrier];
}

// The part of a row of the box that lies inside of the array: its address and how many elements it has.
std::pair<const char*, size_t> inside(const BulkCopy& copy, unsigned row) {
  const TensorMap& map = copy.map;
  const auto x = static_cast<uint64_t>(copy.at[0]), y = static_cast<uint64_t>(copy.at[1] + static_cast<int>(row)),
             z = static_cast<uint64_t>(copy.at[2]);
  if (x >= map.sizes[0] || y >= map.sizes[1] || z >= map.sizes[2]) return {nullptr, 0};
  return {map.base + z * map.steps[1] + y * map.steps[0] + x * map.element,
          std::min<size_t>(map.box[0], map.sizes[0] - x)};
}

// Rows of 128 bytes, whose chunks of 16 change places by the lower bits of the row's number; zeros from outside.
void land(const BulkCopy& copy) {
  mark_copy(copy.to, copy.bytes(), -1, copy.thread);
  for (unsigned row = 0; row < copy.map.box[1]; ++row) {
    char line[128] = {};
    const auto [from, count] = inside(copy, row);
    if (count) memcpy(line, from, count * copy.map.element);
    for (int chunk = 0; chunk < 8; ++chunk) memcpy(swizzled(copy.to + row * 128 + chunk * 16), line + chunk * 16, 16);
  }
}

// End the phase if all have arrived and all bytes have come. These come as late as can be: when somebody waits.
void settle(Phases& b) {
  size_t coming = 0;
  for (const BulkCopy& copy : b.copies) coming += copy.bytes();
  if (b.pending || coming != b.bytes || (coming && b.waiting.empty())) return;
  for (const BulkCopy& copy : b.copies) {
    land(copy);
    check_release(b.coming, copy.thread);
  }
  b.copies.clear(), b.bytes = 0;
  b.known = b.coming;
  b.pending = b.expected, ++b.phase;
  for (int thread : b.waiting)
    if (run.threads[thread].status == Status::waits_for_mbarrier) run.threads[thread].status = Status::ready;
  b.waiting.clear();
}

void arrive(Phases& b, Place place) {
  check_release(b.coming, current->linear);
  if (!b.pending) {
    blame(place);
    fail("mbarrier", "more arrivals at %s:%d than the %u of a phase, in %s", place.file, place.line, b.expected,
         name_of(*current).c_str());
  }
  --b.pending;
  settle(b);
}

}  // namespace

void clear_barriers() { barriers.clear(); }

char* swizzled(char* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address);
  return reinterpret_cast<char*>(bits ^ (bits >> 7 & 7) << 4);
}

void barrier_init(void* barrier, int arrivals) {
  check_access(barrier, sizeof(uint64_t), true, __builtin_return_address(0));
  Phases& b = barriers[barrier] = Phases{};
  b.expected = b.pending = static_cast<unsigned>(arrivals);
  b.maker = current->linear, b.made = run.meetings;
}

void barrier_fence() {
  for (auto& [address, b] : barriers) b.fenced = true;
}

void barrier_arrive(void* barrier, unsigned bytes, Place place) {
  Phases& b = phases_of(barrier, "an arrival", place, __builtin_return_address(0));
  b.bytes += bytes;
  arrive(b, place);
}

void barrier_wait(void* barrier, unsigned parity, Place place) {
  Phases& b = phases_of(barrier, "a wait", place, __builtin_return_address(0));
  Thread& thread = *current;
  while ((b.phase & 1) == parity) {
    b.waiting.push_back(thread.linear);
    thread.waiting = "mbarrier_wait()", thread.place = place;
    thread.status = Status::waits_for_mbarrier;
    settle(b);
    if (thread.status == Status::waits_for_mbarrier) wait_here();
  }
  check_acquire(b.known);
}

void copy_box(void* to, const TensorMap* map, void* barrier, const int (&at)[3], Place place) {
  const void* code = __builtin_return_address(0);
  Phases& b = phases_of(barrier, "a copy", place, code);
  blame(place);
  if (!b.fenced)
    fail("missing fence", "copy at %s:%d by an mbarrier whose initialisation no fence_mbarrier_init made known, in %s",
         place.file, place.line, name_of(*current).c_str());
  if (reinterpret_cast<uintptr_t>(to) % 1024)
    fail("misaligned", "copy of a box to %p at %s:%d, which needs an alignment of 1024 bytes, in %s", to, place.file,
         place.line, name_of(*current).c_str());
  const BulkCopy copy{static_cast<char*>(to), *map, {at[0], at[1], at[2]}, current->linear};
  for (unsigned row = 0; row < map->box[1]; ++row) {
    const auto [from, count] = inside(copy, row);
    if (count) check_access(const_cast<char*>(from), count * map->element, false, code);
  }
  for (size_t i = 0; i < copy.bytes(); i += 16) check_access(copy.to + i, 16, true, code);
  mark_copy(to, copy.bytes(), 1, current->linear);
  b.copies.push_back(copy);
  settle(b);
}

}  // namespace cuda_sim
