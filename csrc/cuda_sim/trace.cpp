// A kernel's accesses of shared memory and of arrays one by one, kept for whoever asked for them
// (minigrad/cuda/trace.py). The checker calls `trace` for each that it lets pass.

#ifdef CUDA_SIM_CHECK

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "access.h"
#include "runtime.h"

namespace cuda_sim {

bool tracing;

namespace {

enum { kWrite = 1, kAtomic = 2, kShared = 4, kValueKnown = 8 };

// Spelled out again in minigrad/cuda/trace.py.
struct Event {
  const char *name, *address, *base;  // of the array or variable, and where it begins
  uint64_t value;                     // its first eight bytes: what is read, or what was written
  uint32_t code, block;               // the code address, as the checker counts it; which block and thread
  uint16_t thread;
  uint8_t bytes, kind;
};

std::string wanted;
long wanted_block, wanted_thread;  // or -1
size_t limit;
std::vector<Event> events;
std::set<std::string> names;
unsigned shape[6];  // grid and block of the last launch
unsigned pending_block;

void take_value(Event& event) {
  memcpy(&event.value, event.address, std::min<size_t>(event.bytes, sizeof event.value));
  event.kind |= kValueKnown;
}

// The array or variable that an address lies in.
void find(Event& event, bool shared) {
  const auto consider = [&](const char* begin, const char* end, const char* name) {
    if (event.address >= begin && event.address < end)
      event.name = names.insert(name).first->c_str(), event.base = begin;
  };
  if (shared)
    for (const Region& r : regions) consider(r.begin, r.end, r.name);
  else
    for (int i = 0; i < run.launch->buffer_count; ++i) {
      const Buffer& b = run.launch->buffers[i];
      consider(b.base, b.base + b.bytes, b.name);
    }
}

}  // namespace

// What a write leaves behind is there by the time of the next access; shared memory is gone with its block.
void trace_settles() {
  if (events.empty() || events.back().kind & kValueKnown) return;
  if (!(events.back().kind & kShared) || pending_block == block.serial) take_value(events.back());
}

void trace(const char* address, size_t bytes, bool write, bool atomic, bool shared, uint32_t code) {
  trace_settles();
  const uint3 at = block.index;
  const long which = at.x + long{grid_dim.x} * (at.y + long{grid_dim.y} * at.z);
  if (events.size() == limit || wanted != run.kernel->name) return;
  if ((wanted_block >= 0 && which != wanted_block) || (wanted_thread >= 0 && current->linear != wanted_thread)) return;
  const int kind = write * kWrite + atomic * kAtomic + shared * kShared;
  events.push_back({"", address, address, 0, code, static_cast<uint32_t>(which), static_cast<uint16_t>(current->linear),
                    static_cast<uint8_t>(bytes), static_cast<uint8_t>(kind)});
  find(events.back(), shared);
  if (!write) take_value(events.back());
  pending_block = block.serial;
  std::copy_n(run.launch->grid, 3, shape);
  std::copy_n(run.launch->block, 3, shape + 3);
}

}  // namespace cuda_sim

using namespace cuda_sim;
#define CUDA_SIM_EXPORT extern "C" __attribute__((visibility("default")))

// From now on keep up to `most` accesses of a kernel, of one block or one thread unless these are -1.
CUDA_SIM_EXPORT void cuda_sim_trace_begin(const char* kernel, long of_block, long of_thread, size_t most) {
  wanted = kernel, wanted_block = of_block, wanted_thread = of_thread, limit = most;
  events.clear();
  tracing = true;
}

// How many there were; `shape_found` is (grid, block) of the last launch. They lie there until the next beginning.
CUDA_SIM_EXPORT size_t cuda_sim_trace_end(const Event** found, unsigned* shape_found) {
  tracing = false;
  *found = events.data();
  std::copy_n(shape, 6, shape_found);
  return events.size();
}

#endif
