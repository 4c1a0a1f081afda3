// The pool behind parallel.h. Read run_chunks, then work, then help.

#include "cpu/parallel.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "cpu/denormals.h"

namespace minigrad {
namespace {

using Clock = std::chrono::steady_clock;
// A helper spins this long after its last chunk: it bridges the Python between two kernels, and a sleeper costs 6 to 45
// us to wake.
constexpr auto kSpin = std::chrono::microseconds(100);
constexpr int kMaxThreads = 256;

void pause() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

int usable_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return cores > 0 ? cores : 1;
}

int clamp_threads(long threads) {
  return threads < 1 ? 1 : threads > kMaxThreads ? kMaxThreads : static_cast<int>(threads);
}

int default_threads() {
  const char* wanted = std::getenv("MINIGRAD_NUM_THREADS");
  const long threads = wanted ? std::strtol(wanted, nullptr, 10) : 0;
  return clamp_threads(threads > 0 ? threads : usable_cores());
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

// True while this thread runs a chunk: what it calls must not fork again.
thread_local bool inside = false;

// What there is to claim: the number of the job in the upper 16 bits, then the chunks claimed from the front, then
// those that nobody has claimed, 24 bits each. One CAS claims a chunk of this very job.
using Ticket = uint64_t;
constexpr Ticket kFromFront = Ticket{1} << 24, kJob = Ticket{1} << 48;
constexpr Size kMostChunks = (Size{1} << 24) - 1;

Size unclaimed(Ticket ticket) { return static_cast<Size>(ticket % kFromFront); }
Size claimed_in_front(Ticket ticket) { return static_cast<Size>(ticket / kFromFront % kFromFront); }

class Pool {
 public:
  static Pool& instance();

  bool try_acquire() { return !busy_.exchange(true, std::memory_order_acquire); }
  void release() { busy_.store(false, std::memory_order_release); }
  void acquire() {
    while (!try_acquire()) std::this_thread::yield();
  }

  std::exception_ptr run(Size n, Size grain, Size chunks, detail::ChunkBody body, void* context);
  void stop_helpers();

 private:
  Size work(bool helper);
  void help();
  void sleep();
  void start_helpers(int wanted);
  void wake(Size chunks);

  std::atomic<bool> busy_{false};
  // The job. It is written before `ticket_` and cannot change while a claimed chunk is unfinished.
  detail::ChunkBody body_ = nullptr;
  void* context_ = nullptr;
  Size n_ = 0, grain_ = 1, chunks_ = 0;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(64) std::atomic<Ticket> ticket_{0};
  alignas(64) std::atomic<Size> finished_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex sleep_mutex_;
  std::condition_variable awake_;
  std::vector<std::thread> helpers_;
};

// Never destroyed: helpers may still look at it while the process exits. A forked child has no helpers and makes a pool
// of its own.
std::atomic<Pool*> pool{nullptr};

Pool& Pool::instance() {
  Pool* current = pool.load(std::memory_order_acquire);
  if (current) return *current;
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    pool.store(nullptr);
    inside = false;
  });
  (void)registered;
#endif
  Pool* fresh = new Pool;
  if (pool.compare_exchange_strong(current, fresh)) return *fresh;
  delete fresh;
  return *current;
}

// Claims and runs chunks until none is left; returns how many it ran.
Size Pool::work(bool helper) {
  Size done = 0;
  Ticket ticket = ticket_.load(std::memory_order_acquire);
  while (const Size left = unclaimed(ticket)) {
    const Size first = claimed_in_front(ticket);
    if (!ticket_.compare_exchange_weak(ticket, helper ? ticket - 1 : ticket - 1 + kFromFront,
                                       std::memory_order_acq_rel))
      continue;
    const Size begin = (helper ? first + left - 1 : first) * grain_;
    try {
      body_(context_, begin, begin + grain_ < n_ ? begin + grain_ : n_);
    } catch (...) {
      std::lock_guard<std::mutex> lock(error_mutex_);
      error_ = std::current_exception();
    }
    ++done;
    ticket = ticket_.load(std::memory_order_acquire);
  }
  if (done) finished_.fetch_add(done, std::memory_order_acq_rel);
  return done;
}

void Pool::sleep() {
  std::unique_lock<std::mutex> lock(sleep_mutex_);
  sleepers_.fetch_add(1);
  awake_.wait(lock, [this] { return stop_.load() || unclaimed(ticket_.load()); });
  sleepers_.fetch_sub(1);
}

void Pool::help() {
  const FlushDenormals flush;
  inside = true;
  const auto spin = thread_count().load() <= usable_cores() ? Clock::duration(kSpin) : Clock::duration(0);
  auto last = Clock::now();
  while (!stop_.load(std::memory_order_relaxed)) {
    if (work(true)) last = Clock::now();
    for (int i = 0; i < 128 && !unclaimed(ticket_.load(std::memory_order_relaxed)); ++i) pause();
    if (Clock::now() - last < spin) {
      std::this_thread::yield();  // where we share a core, it belongs to those who have work
      continue;
    }
    sleep();
    last = Clock::now();
  }
}

void Pool::start_helpers(int wanted) {
  try {
    while (static_cast<int>(helpers_.size()) < wanted) helpers_.emplace_back([this] { help(); });
  } catch (const std::system_error&) {  // no more threads to be had: fewer helpers do the same work
  }
}

void Pool::stop_helpers() {
  {
    std::lock_guard<std::mutex> lock(sleep_mutex_);
    stop_.store(true);
  }
  awake_.notify_all();
  for (auto& helper : helpers_) helper.join();
  helpers_.clear();
  stop_.store(false);
}

void Pool::wake(Size chunks) {
  if (sleepers_.load() == 0) return;
  {
    std::lock_guard<std::mutex> lock(sleep_mutex_);
  }  // a helper between its last look and its sleep holds this lock
  if (chunks > static_cast<Size>(helpers_.size()))
    awake_.notify_all();
  else
    for (Size i = 1; i < chunks; ++i) awake_.notify_one();
}

std::exception_ptr Pool::run(Size n, Size grain, Size chunks, detail::ChunkBody body, void* context) {
  start_helpers(thread_count().load() - 1);
  body_ = body, context_ = context, n_ = n, grain_ = grain, chunks_ = chunks;
  finished_.store(0, std::memory_order_relaxed);
  ticket_.store((ticket_.load(std::memory_order_relaxed) / kJob + 1) * kJob + static_cast<Ticket>(chunks));
  wake(chunks);
  inside = true;
  work(false);
  inside = false;
  // Only chunks that a helper has begun are left; should it share our core, give the core away after a while.
  for (int spins = 0; finished_.load(std::memory_order_acquire) != chunks; ++spins)
    spins < 512 ? pause() : std::this_thread::yield();
  return std::exchange(error_, nullptr);
}

}  // namespace

int num_threads() { return thread_count().load(); }

void set_num_threads(int threads) {
  require(threads >= 1, "the number of threads must be at least 1");
  Pool& current = Pool::instance();
  current.acquire();
  if (clamp_threads(threads) != num_threads()) {
    current.stop_helpers();
    thread_count().store(clamp_threads(threads));
  }
  current.release();
}

namespace detail {

void run_chunks(Size n, Size grain, ChunkBody body, void* context) {
  while (n / kMostChunks >= grain) grain *= 2;
  const Size chunks = (n + grain - 1) / grain;
  if (inside || num_threads() == 1 || !Pool::instance().try_acquire()) {
    for (Size i = 0; i < chunks; ++i) body(context, i * grain, (i + 1) * grain < n ? (i + 1) * grain : n);
    return;
  }
  Pool& current = Pool::instance();
  const std::exception_ptr error = current.run(n, grain, chunks, body, context);
  current.release();
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace minigrad
