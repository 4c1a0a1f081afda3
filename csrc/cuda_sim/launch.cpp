// The way in from Python, the limits of a GPU, and how faults are reported.

#include <algorithm>

#include "runtime.h"

namespace cuda_sim {

Run run;
Kernel* kernels;

// Order ---------------------------------------------------------------------------------------------------------------

static uint64_t random_state;

uint32_t random_number() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_state >> 33);
}

std::vector<int> make_order(int n) {
  std::vector<int> order(n);
  for (int i = 0; i < n; ++i) order[i] = run.launch->order == static_cast<int>(Order::reverse) ? n - 1 - i : i;
  if (run.launch->order == static_cast<int>(Order::random))
    for (int i = n; i > 1; --i) std::swap(order[i - 1], order[random_number() % i]);
  return order;
}

// Faults --------------------------------------------------------------------------------------------------------------

static std::string formatted(const char* format, va_list arguments) {
  char line[1024];
  vsnprintf(line, sizeof line, format, arguments);
  return line;
}

std::string text(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string line = formatted(format, arguments);
  va_end(arguments);
  return line;
}

std::string name_of(const Thread& t) {
  return text("block (%u,%u,%u) thread (%u,%u,%u)", block.index.x, block.index.y, block.index.z, t.index.x, t.index.y,
              t.index.z);
}

void blame(Place place) {
  if (run.failed) return;
  snprintf(run.report->file, sizeof run.report->file, "%s", place.file);
  run.report->line = place.line;
}

void fail(const char* kind, const char* format, ...) {
  if (!run.failed) {
    va_list arguments;
    va_start(arguments, format);
    const std::string message = formatted(format, arguments);
    va_end(arguments);
    Report& report = *run.report;
    snprintf(report.kind, sizeof report.kind, "%s", kind);
    snprintf(report.message, sizeof report.message, "%s", message.c_str());
    const uint3 thread = current ? current->index : uint3{};
    report.block[0] = block.index.x, report.block[1] = block.index.y, report.block[2] = block.index.z;
    report.thread[0] = thread.x, report.thread[1] = thread.y, report.thread[2] = thread.z;
  }
  run.failed = true;
  if (current) wait_here();
}

void trap(const char* what, Place place) {
  blame(place);
  fail("trap", "%s at %s:%d in %s", what, place.file, place.line, name_of(*current).c_str());
  abort();  // not reached: a failed thread is never entered again
}

// The way in ----------------------------------------------------------------------------------------------------------

static bool within_limits(const Launch& launch) {
  const unsigned *b = launch.block, *g = launch.grid;
  const uint64_t threads = uint64_t{b[0]} * b[1] * b[2], most = std::min(1024, run.kernel->max_threads);
  if (run.kernel->arguments != launch.argument_count)
    fail("limit", "takes %d arguments, found %d", run.kernel->arguments, launch.argument_count);
  else if (threads == 0 || threads > most || b[2] > 64)
    fail("limit", "block of (%u,%u,%u) threads, expected 1 to %d and at most 64 in z", b[0], b[1], b[2],
         static_cast<int>(most));
  else if (!g[0] || !g[1] || !g[2] || g[0] > 0x7fffffff || g[1] > 65535 || g[2] > 65535)
    fail("limit", "grid of (%u,%u,%u) blocks, expected at least 1 and at most (2147483647,65535,65535)", g[0], g[1],
         g[2]);
  return !run.failed;
}

static void run_grid() {
  const unsigned w = grid_dim.x, h = grid_dim.y;
  const int blocks = static_cast<int>(w * h * grid_dim.z);
  const std::vector<int> order = make_order(blocks);
  for (int i = 0; i < blocks && !run.failed; ++i) {
    const auto at = static_cast<unsigned>(order[i]);
    run_block({at % w, at / w % h, at / (w * h)});
  }
}

}  // namespace cuda_sim

using namespace cuda_sim;
#define CUDA_SIM_EXPORT extern "C" __attribute__((visibility("default")))

// 0, or 1 with the first fault in `report`. Not to be called by two threads at once.
CUDA_SIM_EXPORT int cuda_sim_launch(const Launch* launch, Report* report) {
  *report = Report{};
  run.launch = launch, run.report = report, run.failed = false;
  current = nullptr, block.index = {0, 0, 0};
  random_state = launch->seed * 2654435761u + 12345;
  run.kernel = kernels;
  while (run.kernel && strcmp(run.kernel->name, launch->kernel)) run.kernel = run.kernel->next;
  if (!run.kernel) return fail("limit", "no such kernel"), 1;
  if (!within_limits(*launch)) return 1;
  block_dim = dim3(launch->block[0], launch->block[1], launch->block[2]);
  grid_dim = dim3(launch->grid[0], launch->grid[1], launch->grid[2]);
  const int threads = static_cast<int>(block_dim.x * block_dim.y * block_dim.z);
  run.threads.assign(threads, Thread{});
  run.warps.assign((threads + kWarp - 1) / kWarp, WarpLanes{});
  run.order = make_order(threads);
  run.barriers.clear();
  check_launch_begins();
  watch_launch_begins();
  run_grid();
  watch_launch_ends();
  check_launch_ends();
  fflush(stdout);  // what printf wrote
  return run.failed;
}

// The file of the i-th barrier that the last launch came to, or null.
CUDA_SIM_EXPORT const char* cuda_sim_barrier(int i, int* line) {
  if (i >= static_cast<int>(run.barriers.size())) return nullptr;
  *line = run.barriers[i].line;
  return run.barriers[i].file;
}

// The name of the i-th kernel, or null.
CUDA_SIM_EXPORT const char* cuda_sim_kernel(int i) {
  const Kernel* kernel = kernels;
  while (kernel && i-- > 0) kernel = kernel->next;
  return kernel ? kernel->name : nullptr;
}

#ifndef CUDA_SIM_CHECK
namespace cuda_sim {
void note_atomic(void*, size_t, void*) {}
void note_fence() {}
}  // namespace cuda_sim
#endif
