// What the lanes of a warp do together. It happens when every live lane of the mask has arrived at the same line.

#include <algorithm>

#include "runtime.h"

namespace cuda_sim {

const char* name_of(Op op) {
  static const char* const names[] = {"__syncwarp()",        "__shfl_sync()",           "__shfl_up_sync()",
                                      "__shfl_down_sync()",  "__shfl_xor_sync()",       "__ballot_sync()",
                                      "__match_any_sync()",  "__reduce_add_sync()",     "__reduce_min_sync()",
                                      "__reduce_max_sync()", "an operation of the warp"};
  return names[static_cast<int>(op)];
}

namespace {

bool same_place(const Thread& a, const Thread& b) {
  return a.collective.op == b.collective.op && a.collective.mask == b.collective.mask && a.place.line == b.place.line &&
         !strcmp(a.place.file, b.place.file);
}

template <class F>
void for_lanes(unsigned mask, const F& f) {
  for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

// Which lane a shuffle reads; its own where the distance leads out of the segment.
int source_lane(const Collective& c, int lane) {
  const int begin = lane & ~(c.width - 1), end = begin + c.width;
  switch (c.op) {
    case Op::shuffle:
      return begin + (c.argument & (c.width - 1));
    case Op::shuffle_up:
      return lane - c.argument < begin ? lane : lane - c.argument;
    case Op::shuffle_down:
      return lane + c.argument >= end ? lane : lane + c.argument;
    default:
      return (lane ^ c.argument) >= end ? lane : lane ^ c.argument;
  }
}

uint64_t shuffled(Thread* lanes, int lane, unsigned group) {
  const Thread& thread = lanes[lane];
  const int source = source_lane(thread.collective, lane);
  if (!(group >> source & 1)) {
    blame(thread.place);
    fail("undefined lane", "%s at %s:%d: lane %d reads lane %d, which takes no part (mask %08x, %s)", thread.waiting,
         thread.place.file, thread.place.line, lane, source, thread.collective.mask, name_of(thread).c_str());
    return 0;
  }
  return lanes[source].collective.value;
}

uint64_t gathered(Thread* lanes, int lane, unsigned group) {
  const Collective& mine = lanes[lane].collective;
  int64_t sum = 0, least = INT64_MAX, most = INT64_MIN;
  unsigned votes = 0, equal = 0;
  for_lanes(group, [&](int other) {
    const auto value = static_cast<int64_t>(lanes[other].collective.value);
    sum += value, least = std::min(least, value), most = std::max(most, value);
    votes |= (value != 0 ? 1u : 0u) << other;
    equal |= (lanes[other].collective.value == mine.value ? 1u : 0u) << other;
  });
  switch (mine.op) {
    case Op::ballot:
      return votes;
    case Op::match:
      return equal;
    case Op::add:
      return static_cast<uint64_t>(sum);
    case Op::min:
      return static_cast<uint64_t>(least);
    case Op::max:
      return static_cast<uint64_t>(most);
    default:
      return 0;
  }
}

void run_together(Thread* lanes, const Thread& first, unsigned group) {
  if (group != ~0u) {
    blame(first.place);
    return fail("undefined lane", "%s at %s:%d needs all 32 lanes of a warp, found %08x, in %s", first.waiting,
                first.place.file, first.place.line, group, name_of(first).c_str());
  }
  void* brought[kWarp];
  for_lanes(group, [&](int lane) { brought[lane] = reinterpret_cast<void*>(lanes[lane].collective.value); });
  first.collective.body(brought);
}

// Let the lanes go on that wait with this one, if all of them are there.
void complete(int warp, int lane) {
  Thread* lanes = &run.threads[warp * kWarp];
  const Thread& first = lanes[lane];
  const unsigned group = first.collective.mask & run.warps[warp].live;
  if (group & ~run.warps[warp].waiting) return;
  bool together = true;
  for_lanes(group, [&](int other) { together = together && same_place(lanes[other], first); });
  if (!together) return;
  if (first.collective.op == Op::together) run_together(lanes, first, group);
  const bool shuffles = first.collective.op >= Op::shuffle && first.collective.op <= Op::shuffle_xor;
  for_lanes(group, [&](int other) {
    if (!run.failed) lanes[other].collective.result = (shuffles ? shuffled : gathered)(lanes, other, group);
  });
  // Only __syncwarp orders memory: shuffles and votes exchange registers.
  if (first.collective.op == Op::sync) check_warp_sync(warp, group);
  run.warps[warp].waiting &= ~group;
  for_lanes(group, [&](int other) { lanes[other].status = Status::ready; });
}

}  // namespace

// After a lane has ended: those left may be all that were waited for.
void complete_collectives(int warp) {
  for (unsigned seen = 0, left; (left = run.warps[warp].waiting & ~seen) && !run.failed;) {
    const int lane = __builtin_ctz(left);
    seen |= 1u << lane;
    complete(warp, lane);
  }
}

uint64_t collective(Collective wanted, Place place) {
  if (wanted.op == Op::sync && passes_over(place)) return 0;
  Thread& thread = *current;
  thread.waiting = wanted.name ? wanted.name : name_of(wanted.op);
  thread.place = place;
  thread.collective = wanted;
  if (!(wanted.mask >> thread.lane & 1)) {
    blame(place);
    fail("bad mask", "%s at %s:%d: lane %d is not in its own mask %08x, in %s", thread.waiting, place.file, place.line,
         thread.lane, wanted.mask, name_of(thread).c_str());
  }
  thread.status = Status::waits_for_warp;
  run.warps[thread.warp].waiting |= 1u << thread.lane;
  complete(thread.warp, thread.lane);
  if (thread.status != Status::ready || run.failed) wait_here();
  return thread.collective.result;
}

unsigned live_lanes() { return run.warps[current->warp].live; }

}  // namespace cuda_sim
