// Who runs when: threads of the block until all wait or have ended, then whoever a barrier lets go.

#include <algorithm>
#include <map>

#include "runtime.h"

namespace cuda_sim {

Thread* current;
Block block;
dim3 block_dim, grid_dim;

// Barriers ------------------------------------------------------------------------------------------------------------

namespace {

#ifdef CUDA_SIM_CHECK
void note(Place barrier) {
  for (const Place& p : run.barriers)
    if (p.line == barrier.line && p.file == barrier.file) return;
  run.barriers.push_back(barrier);
}
#else
void note(Place) {}
#endif

}  // namespace

// Whether the launch leaves this barrier out, to find out who notices.
bool passes_over(Place barrier) {
  note(barrier);
  const Launch& launch = *run.launch;
  return barrier.line == launch.skipped_line && launch.skipped_file && !strcmp(barrier.file, launch.skipped_file);
}

namespace {

// Let all threads go on, if all wait at the same barrier.
void release_block() {
  const Thread* first = nullptr;
  for (const Thread& t : run.threads) {
    if (t.status != Status::waits_for_block) continue;
    if (!first) first = &t;
    if (t.place.line == first->place.line && !strcmp(t.place.file, first->place.file)) continue;
    blame(t.place);
    return fail("divergent barrier",
                "divergent barrier: thread (%u,%u,%u) waits at %s %s:%d, but thread (%u,%u,%u) of the same block at %s "
                "%s:%d; all threads of a block must reach the same one",
                first->index.x, first->index.y, first->index.z, first->waiting, first->place.file, first->place.line,
                t.index.x, t.index.y, t.index.z, t.waiting, t.place.file, t.place.line);
  }
  for (Thread& t : run.threads)
    if (t.status == Status::waits_for_block) t.status = Status::ready;
  run.waiting = 0, ++run.meetings;
  std::copy_n(run.votes, 3, run.voted);
  run.votes[0] = 0, run.votes[1] = 1, run.votes[2] = 0;
  check_barrier();
}

void wait_for_block(const char* what, Place place) {
  Thread& thread = *current;
  thread.waiting = what, thread.place = place;
  thread.status = Status::waits_for_block;
  if (++run.waiting == run.live) release_block();
  if (thread.status != Status::ready || run.failed) wait_here();
}

}  // namespace

void barrier(Place place) {
  if (!passes_over(place)) wait_for_block("__syncthreads()", place);
}

int barrier_vote(Vote vote, bool predicate, Place place) {
  run.votes[0] += predicate;
  run.votes[1] = run.votes[1] && predicate;
  run.votes[2] = run.votes[2] || predicate;
  wait_for_block("a voting __syncthreads", place);
  return run.voted[static_cast<int>(vote)];
}

// The loop ------------------------------------------------------------------------------------------------------------

namespace {

void fiber_body() {
  run.kernel->call(run.kernel->function, run.launch->arguments);
  current->status = Status::ended;
  wait_here();
}

void end_thread(Thread& thread) {
  free_stack(thread);
  --run.live;
  run.warps[thread.warp].live &= ~(1u << thread.lane);
  complete_collectives(thread.warp);
  if (run.waiting && run.waiting == run.live) release_block();
}

// Run a thread to its next wait, or to its end. Returns whether there was anything to do.
bool step(Thread& thread) {
  if (interrupted) fail("interrupted", "interrupted");
  if (run.failed || (thread.status != Status::fresh && thread.status != Status::ready)) return false;
  if (thread.status == Status::fresh) start_fiber(thread, fiber_body);
  thread.status = Status::ready;
  enter_fiber(thread);
  if (!run.failed && thread.status == Status::ended) end_thread(thread);
  return true;
}

// Each warp until all of it waits: what its lanes exchange stays in the cache.
bool sweep_by_warps(bool reverse) {
  const int n = static_cast<int>(run.threads.size()), warps = static_cast<int>(run.warps.size());
  bool any = false;
  for (int i = 0; i < warps; ++i) {
    const int begin = (reverse ? warps - 1 - i : i) * kWarp, end = std::min(n, begin + kWarp);
    for (bool moved = true; moved; any = any || moved) {
      moved = false;
      for (int k = begin; k < end; ++k) moved = step(run.threads[reverse ? begin + end - 1 - k : k]) || moved;
    }
  }
  return any;
}

bool sweep_at_random() {
  bool any = false;
  for (size_t i = run.order.size(); i > 1; --i) std::swap(run.order[i - 1], run.order[random_number() % i]);
  for (int i : run.order) any = step(run.threads[i]) || any;
  return any;
}

void report_deadlock() {
  std::map<std::string, std::pair<int, const Thread*>> groups;
  int ended = 0;
  for (const Thread& t : run.threads) {
    if (t.status == Status::ended) ++ended;
    if (t.status == Status::ended) continue;
    std::string at = text("%s %s:%d", t.waiting, t.place.file, t.place.line);
    if (t.status == Status::waits_for_warp) at += text(" with mask %08x", t.collective.mask);
    auto& group = groups.try_emplace(at, 0, &t).first->second;
    ++group.first;
  }
  std::string all;
  for (const auto& [at, group] : groups) {
    const uint3 i = group.second->index;
    all += text("%d thread(s), (%u,%u,%u) for one, wait at %s; ", group.first, i.x, i.y, i.z, at.c_str());
  }
  blame(groups.begin()->second.second->place);
  fail("deadlock",
       "deadlock: no thread can go on: %s%d have ended. A barrier or an operation of a warp stands in divergent code",
       all.c_str(), ended);
}

void make_threads() {
  const int n = static_cast<int>(run.threads.size()), w = static_cast<int>(block_dim.x),
            h = static_cast<int>(block_dim.y);
  for (int i = 0; i < n; ++i) {
    Thread& t = run.threads[i] = Thread{};
    t.index = {static_cast<unsigned>(i % w), static_cast<unsigned>(i / w % h), static_cast<unsigned>(i / (w * h))};
    t.linear = i, t.lane = i % kWarp, t.warp = i / kWarp, t.stack = -1;
  }
  for (size_t i = 0; i < run.warps.size(); ++i) {
    const int lanes = std::min(kWarp, n - static_cast<int>(i) * kWarp);
    run.warps[i] = {lanes == kWarp ? ~0u : (1u << lanes) - 1, 0};
  }
}

}  // namespace

void run_block(uint3 index) {
  block.index = index, ++block.serial;
  make_threads();
  run.live = static_cast<int>(run.threads.size()), run.waiting = 0;
  run.votes[0] = 0, run.votes[1] = 1, run.votes[2] = 0;
  clear_shared();
  clear_copies();
  clear_barriers();
  clear_wgmma();
  check_block_begins();
  watch_block_begins();
  const size_t dynamic = run.launch->dynamic_shared;
  block.dynamic_shared = dynamic ? take_shared(dynamic, 1024, "dynamic shared memory") : nullptr;
  const auto order = static_cast<Order>(run.launch->order);
  while (run.live > 0 && !run.failed) {
    const bool any = order == Order::random ? sweep_at_random() : sweep_by_warps(order == Order::reverse);
    if (!any && !run.failed) report_deadlock();
  }
  for (Thread& t : run.threads) free_stack(t);  // of those that a fault has stopped
}

}  // namespace cuda_sim
