// The checker: every load and store of a kernel comes here (hooks.cpp). In this order: whose memory is it, may it be
// touched there, was it ever written, and is the access ordered after those of other threads?
//
// For each four bytes a `Cell` remembers the last write and two reads since. Order comes from four things only:
//   __syncthreads   counts `now` up: an older access of the block is behind us
//   __syncwarp      counts the clock of the warp up; each lane knows of every other lane up to when they last met
//   an mbarrier     by arriving a thread says what it did and knows, by waiting others learn it
//   __threadfence   before an atomic publishes what the block wrote; a block that updates the same address afterwards
//                   has acquired it. Nothing else orders blocks.

#ifdef CUDA_SIM_CHECK

#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "access.h"
#include "runtime.h"

// Where this library begins and ends in memory, as the linker knows it.
extern "C" char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" char _end[] __attribute__((visibility("hidden")));

namespace cuda_sim {
namespace {

struct Access {
  uint32_t time, code, warp_time;
  uint16_t thread;
  uint8_t bytes;  // which of the four
  uint8_t atomic;
};

struct Cell {
  Access write, reads[2];
  uint32_t initialised_at;  // when the first of `initialised` was written: of no value in a later block
  uint8_t initialised;      // which of the four bytes
};

struct WarpClock {
  uint32_t now;
  uint32_t known[kWarp][kWarp];  // what lane i knows of lane j: everything before this time
};

// Overlapping buffers are one memory.
struct Span {
  char *begin, *end;
  bool writable;
  Cell* cells;
  size_t cell_bytes;
};

uint32_t now = 1, block_began = 1, launch_began = 1;
std::vector<uint32_t> beginnings;  // of the blocks of this launch, in the order in which they ran
std::vector<char> acquired;        // of these blocks, whose writes are known to the running one
std::map<void*, std::vector<size_t>> published;
bool fenced;
std::vector<WarpClock> clocks;
std::vector<Knowledge> heard;  // by thread: what it learned by mbarriers; empty if nothing
std::vector<Span> spans;       // sorted
std::vector<Cell> arena_cells;
std::vector<int16_t> arena_owner;  // region of each four bytes, or -1

// Words ---------------------------------------------------------------------------------------------------------------

uint32_t offset_of(const void* code) { return static_cast<uint32_t>(static_cast<const char*>(code) - __ehdr_start); }

std::string quantity(const char* what, size_t bytes) { return text("%s of %zu bytes", what, bytes); }

// How far `address` lies outside of [begin, end).
long distance(const char* address, const char* begin, const char* end) {
  return address < begin ? begin - address : address >= end ? address - end : 0;
}

// "shared `tile`" or "global `x`", the nearest to an address.
struct Named {
  const char *kind, *name, *begin, *end;
};

Named nearest(const char* address, bool shared) {
  Named best{"", nullptr, nullptr, nullptr};
  const auto consider = [&](Named c) {
    if (!best.name || distance(address, c.begin, c.end) < distance(address, best.begin, best.end)) best = c;
  };
  if (shared)
    for (const Region& r : regions) consider({"shared", r.name, r.begin, r.end});
  else
    for (int i = 0; i < run.launch->buffer_count; ++i) {
      const Buffer& b = run.launch->buffers[i];
      consider({"global", b.name, b.base, b.base + b.bytes});
    }
  return best;
}

std::string name_of_thread(unsigned linear) {
  return text("thread (%u,%u,%u)", linear % block_dim.x, linear / block_dim.x % block_dim.y,
              linear / (block_dim.x * block_dim.y));
}

// Faults: "@0" is the line of this access, "@1" that of the earlier one.
void begin_report(const void* code, uint32_t earlier = 0) {
  if (run.failed) return;
  run.report->file[0] = 0;
  run.report->code[0] = offset_of(code), run.report->code[1] = earlier;
}

void out_of_bounds(const char* address, size_t bytes, const char* verb, bool shared, const void* code) {
  const Named at = nearest(address, shared);
  begin_report(code);
  if (!at.name || !address || distance(address, at.begin, at.end) > (1l << 40))
    return fail("wild pointer", "%s through a null or wild pointer %p, at @0 in %s", verb,
                static_cast<const void*>(address), name_of(*current).c_str());
  const char* side = address < at.begin ? "before" : "past the end of";
  fail("out of bounds", "out-of-bounds %s, %ld bytes %s %s `%s` of %ld bytes, at @0 in %s",
       quantity(verb, bytes).c_str(), distance(address, at.begin, at.end), side, at.kind, at.name,
       static_cast<long>(at.end - at.begin), name_of(*current).c_str());
}

void race(const Access& earlier, const char* what, const char* verb, const char* address, bool shared,
          const void* code) {
  const Named at = nearest(address, shared);
  const bool other_block = earlier.time < block_began;
  const char* missing = other_block                               ? "blocks run in any order: use atomics"
                        : earlier.thread / kWarp == current->warp ? "no __syncwarp or __syncthreads between them"
                                                                  : "no __syncthreads between them";
  begin_report(code, earlier.code);
  fail("race", "data race on %s `%s` + %ld bytes: %s%s by %s%s at @1, then %s at @0 in %s; %s", at.kind, at.name,
       static_cast<long>(address - at.begin), earlier.atomic ? "atomic " : "", what,
       other_block ? "another block's " : "", name_of_thread(earlier.thread).c_str(), verb, name_of(*current).c_str(),
       missing);
}

void under_way(const char* address, const char* verb, int thread, const void* code) {
  const Named at = nearest(address, true);
  begin_report(code);
  fail("not waited for", "%s of shared `%s` + %ld bytes at @0 in %s, while a copy to it that %s began is under way",
       verb, at.name, static_cast<long>(address - at.begin), name_of(*current).c_str(), name_of_thread(thread).c_str());
}

// Order ---------------------------------------------------------------------------------------------------------------

bool is_ordered(const Access& earlier, bool shared) {
  if (earlier.time < launch_began) return true;
  if (earlier.time < block_began) {
    const auto after = std::upper_bound(beginnings.begin(), beginnings.end(), earlier.time);
    return shared || acquired[after - beginnings.begin() - 1];
  }
  if (earlier.time < now || earlier.thread == current->linear) return true;
  const int warp = current->warp;
  const Knowledge& known = heard[current->linear];
  if (!known.empty() && earlier.warp_time < known[earlier.thread]) return true;
  if (earlier.thread / kWarp != warp) return false;
  return earlier.warp_time < clocks[warp].known[current->lane][earlier.thread % kWarp];
}

void publish(void* address) {
  const size_t me = beginnings.size() - 1;
  for (size_t other : published[address]) acquired[other] = 1;
  if (fenced) published[address].push_back(me);
}

// One access to (at most) four bytes. False: a fault was reported.
struct Visit {
  const char* verb;
  bool write, atomic, shared;
  const void* code;

  bool operator()(Cell& cell, uint8_t bytes, char* address) const {
    if (shared && !check_initialised(cell, bytes, address)) return false;
    if ((cell.write.bytes & bytes) && !(atomic && cell.write.atomic) && !is_ordered(cell.write, shared))
      return race(cell.write, "write", verb, address, shared, code), false;
    for (const Access& read : cell.reads)
      if (write && (read.bytes & bytes) && !is_ordered(read, shared))
        return race(read, "read", verb, address, shared, code), false;
    note(cell, bytes);
    return true;
  }

  bool check_initialised(Cell& cell, uint8_t bytes, char* address) const {
    if (cell.initialised_at < block_began) cell.initialised = 0, cell.initialised_at = now;
    if (write && !atomic) cell.initialised |= bytes;
    if ((cell.initialised & bytes) == bytes) return true;
    const Named at = nearest(address, true);
    begin_report(code);
    fail("uninitialised", "%s of uninitialised shared `%s` + %ld bytes, at @0 in %s", verb, at.name,
         static_cast<long>(address - at.begin), name_of(*current).c_str());
    return false;
  }

  // Two concurrent readers are enough to convict any later writer, so a third is forgotten.
  void note(Cell& cell, uint8_t bytes) const {
    const auto thread = static_cast<uint16_t>(current->linear);
    const Access access{now, offset_of(code), clocks[current->warp].now, thread, bytes, atomic};
    if (write) {
      cell.write = access;
      return;
    }
    for (Access& read : cell.reads)
      if (read.thread == thread || !read.bytes || is_ordered(read, shared)) {
        read = access;
        return;
      }
  }
};

Span* span_of(const char* address, size_t bytes) {
  static size_t last = 0;
  const auto holds = [&](const Span& s) { return address >= s.begin && address + bytes <= s.end; };
  if (last < spans.size() && holds(spans[last])) return &spans[last];
  const auto after =
      std::upper_bound(spans.begin(), spans.end(), address, [](const char* a, const Span& s) { return a < s.begin; });
  if (after == spans.begin() || !holds(after[-1])) return nullptr;
  last = static_cast<size_t>(after - spans.begin() - 1);
  return &spans[last];
}

// Memory that is no argument and no shared variable: a stack, or the simulator's own. True: nothing more to check.
bool is_private(const char* address, const char* verb, const void* code) {
  const int stack = stack_at(address);
  if (stack >= 0 && stack != current->stack) {
    begin_report(code);
    fail("local memory", "%s of another thread's local memory, at @0 in %s", verb, name_of(*current).c_str());
  }
  const char* threads = reinterpret_cast<const char*>(run.threads.data());
  return stack >= 0 || (address >= threads && address < threads + run.threads.size() * sizeof(Thread));
}

}  // namespace

void access(void* at, size_t bytes, bool write, bool atomic, const void* code) {
  if (!current) return;
  char* address = static_cast<char*>(at);
  const char* verb = atomic ? "atomic update" : write ? "write" : "read";
  if (is_private(address, verb, code)) return;
  const bool shared = address >= arena && address < arena + kArena;
  Cell* cells;
  const char* base;
  if (shared) {
    const int owner = arena_owner[(address - arena) / 4];
    if (owner < 0 || address + bytes > regions[owner].end) return out_of_bounds(address, bytes, verb, true, code);
    if (const int thread = copy_under_way(address, bytes); thread >= 0) return under_way(address, verb, thread, code);
    cells = arena_cells.data(), base = arena;
  } else {
    const Span* span = span_of(address, bytes);
    if (!span && address >= __ehdr_start && address < _end) return;  // __constant__ tables, and the simulator's globals
    if (!span) return out_of_bounds(address, bytes, verb, false, code);
    if (write && !span->writable) {
      begin_report(code);
      return fail("read-only", "%s to `%s`, an argument that points to const, at @0 in %s", verb,
                  nearest(address, false).name, name_of(*current).c_str());
    }
    cells = span->cells, base = span->begin - reinterpret_cast<uintptr_t>(span->begin) % 4;
  }
  if (tracing) trace(address, bytes, write, atomic, shared, offset_of(code));
  const Visit visit{verb, write, atomic, shared, code};
  for (char* end = address + bytes; address < end;) {
    const size_t first = (address - base) % 4, count = std::min<size_t>(4 - first, end - address);
    if (!visit(cells[(address - base) / 4], static_cast<uint8_t>(((1u << count) - 1) << first), address)) return;
    address += count;
  }
}

void check_access(void* at, size_t bytes, bool write, const void* code) { access(at, bytes, write, false, code); }

void check_atomic(void* at, size_t bytes, const void* code) { access(at, bytes, true, true, code); }

void note_atomic(void* address, size_t bytes, void* code) {
  access(address, bytes, true, true, code);
  if (!run.failed && current) publish(address);
}

void note_fence() { fenced = true; }

// Time ----------------------------------------------------------------------------------------------------------------

void check_launch_begins() {
  launch_began = ++now;
  beginnings.clear(), published.clear(), spans.clear();
  const Launch& launch = *run.launch;
  for (int i = 0; i < launch.buffer_count; ++i) {
    const Buffer& b = launch.buffers[i];
    if (b.bytes) spans.push_back({b.base, b.base + b.bytes, !b.read_only, nullptr, 0});
  }
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> merged;
  for (const Span& s : spans) {
    const bool apart = merged.empty() || s.begin >= merged.back().end;
    if (apart) merged.push_back(s);
    merged.back().end = std::max(merged.back().end, s.end);
    merged.back().writable |= s.writable;
  }
  spans = merged;
  for (Span& s : spans) {
    s.cell_bytes = ((s.end - s.begin) / 4 + 2) * sizeof(Cell);
    s.cells = static_cast<Cell*>(
        mmap(nullptr, s.cell_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  arena_cells.resize(kArena / 4);
  arena_owner.resize(kArena / 4);
  clocks.resize(run.warps.size());
}

void check_launch_ends() {
  if (tracing) trace_settles();
  for (const Span& s : spans) munmap(s.cells, s.cell_bytes);
  spans.clear();
}

void check_block_begins() {
  block_began = ++now;
  beginnings.push_back(now);
  acquired.assign(beginnings.size(), 0);
  fenced = false;
  std::fill(arena_owner.begin(), arena_owner.end(), -1);
  std::fill(clocks.begin(), clocks.end(), WarpClock{});
  heard.assign(run.threads.size(), {});
}

void check_barrier() { ++now; }

void check_region(int region) {
  const Region& r = regions[region];
  const size_t begin = (r.begin - arena) / 4, end = (r.end - arena + 3) / 4;
  std::fill(arena_owner.begin() + begin, arena_owner.begin() + end, static_cast<int16_t>(region));
}

static void learn(Knowledge& mine, const Knowledge& more) {
  mine.resize(run.threads.size());
  for (size_t i = 0; i < more.size(); ++i) mine[i] = std::max(mine[i], more[i]);
}

void check_release(Knowledge& known, int thread) {
  const int warp = thread / kWarp, lane = thread % kWarp;
  learn(known, heard[thread]);
  for (size_t i = 0; i < kWarp && warp * kWarp + i < known.size(); ++i)
    known[warp * kWarp + i] = std::max(known[warp * kWarp + i], clocks[warp].known[lane][i]);
  known[thread] = ++clocks[warp].now;
}

void check_acquire(const Knowledge& known) { learn(heard[current->linear], known); }

// The lanes of the group have met: each now knows all that any of them knew.
void check_warp_sync(int warp, unsigned group) {
  WarpClock& clock = clocks[warp];
  ++clock.now;
  uint32_t together[kWarp] = {};
  for (int i = 0; i < kWarp; ++i)
    for (int j = 0; j < kWarp && group >> i & 1; ++j) together[j] = std::max(together[j], clock.known[i][j]);
  for (int i = 0; i < kWarp; ++i)
    if (group >> i & 1) together[i] = clock.now;
  for (int i = 0; i < kWarp; ++i)
    if (group >> i & 1) std::copy_n(together, kWarp, clock.known[i]);
  Knowledge all;
  for (int i = 0; i < kWarp; ++i)
    if (group >> i & 1 && !heard[warp * kWarp + i].empty()) learn(all, heard[warp * kWarp + i]);
  for (int i = 0; i < kWarp && !all.empty(); ++i)
    if (group >> i & 1) heard[warp * kWarp + i] = all;
}

}  // namespace cuda_sim

#endif
