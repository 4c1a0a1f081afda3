// One small thread pool. `parallel_for(n, grain, f)` calls f(begin, end) for chunks of `grain` out of 0..n.
//
// The chunks depend on n and grain alone, never on the number of threads, so a kernel whose chunks write apart gives
// the same bits on any machine. Chunks are claimed one by one; the caller claims too and waits only for chunks that a
// helper has really begun, so a busy core or a helper that is still waking up costs nothing. The caller claims from the
// front, helpers from the back: what a thread touches lies in one piece, and from call to call it is mostly the same,
// so that it stays in that core's cache. Nested calls, and calls while another thread has the pool, run serially.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/array.h"

namespace minigrad {

int num_threads();
void set_num_threads(int threads);

namespace detail {
using ChunkBody = void (*)(void* context, Size begin, Size end);
void run_chunks(Size n, Size grain, ChunkBody body, void* context);
}  // namespace detail

template <class F>
void parallel_for(Size n, Size grain, F&& f) {
  if (grain < 1) grain = 1;
  if (n <= 0) return;
  if (n <= grain) return f(Size{0}, n);
  using Function = std::remove_reference_t<F>;
  auto body = [](void* context, Size begin, Size end) { (*static_cast<Function*>(context))(begin, end); };
  detail::run_chunks(n, grain, body, const_cast<void*>(static_cast<const void*>(&f)));
}

// Elements per chunk of a pass that only streams memory: two such chunks are where a second thread begins to pay.
constexpr Size kStreamGrain = 32768;

// Rows per chunk for a kernel that works row by row at about the cost of a stream.
inline Size row_grain(Size cols) { return cols >= kStreamGrain ? 1 : kStreamGrain / (cols < 1 ? 1 : cols); }

}  // namespace minigrad
