// The pool behind memory.h: one free list per size class, one mutex.

#include "cpu/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace minigrad {
namespace {

constexpr std::size_t kAlign = 64, kHugePage = std::size_t{2} << 20, kLargest = std::size_t{1} << 46;
constexpr int kClasses = 48 * 4;

struct SizeClass {
  int index;
  std::size_t bytes;
};

int log2_floor(std::size_t x) {
  int bits = 0;
  while (x >>= 1) ++bits;
  return bits;
}

// 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, ...: four classes to an octave.
SizeClass size_class(std::size_t bytes) {
  if (bytes > kLargest) throw std::bad_alloc();
  if (bytes <= 256) {
    const std::size_t units = bytes ? (bytes + kAlign - 1) / kAlign : 1;
    return {static_cast<int>(units), units * kAlign};
  }
  const int octave = log2_floor(bytes - 1);
  const std::size_t step = std::size_t{1} << (octave - 2);
  const std::size_t steps = (bytes + step - 1) / step;  // 5..8
  return {(octave - 7) * 4 + static_cast<int>(steps) - 4, steps * step};
}

std::align_val_t alignment(std::size_t bytes) { return std::align_val_t{bytes >= kHugePage ? kHugePage : kAlign}; }

void* system_allocate(std::size_t bytes) {
  void* buffer = ::operator new(bytes, alignment(bytes), std::nothrow);
#if defined(__linux__)
  if (buffer && bytes >= kHugePage) madvise(buffer, bytes, MADV_HUGEPAGE);
#endif
  return buffer;
}

void system_free(void* buffer, std::size_t bytes) noexcept { ::operator delete(buffer, alignment(bytes)); }

// What the machine, or the container around us, has; 0 when unknown.
std::size_t memory_of_machine() {
  std::size_t bytes = 0;
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGE_SIZE)
  bytes = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
#endif
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/memory.max", "r")) {
    unsigned long long limit = 0;
    if (std::fscanf(file, "%llu", &limit) == 1 && limit < bytes) bytes = static_cast<std::size_t>(limit);
    std::fclose(file);
  }
  return bytes;
}

std::size_t default_cache_limit() {
  if (const char* wanted = std::getenv("MINIGRAD_CACHE_MB")) return std::strtoull(wanted, nullptr, 10) << 20;
  const std::size_t memory = memory_of_machine();
  return memory ? memory / 4 : std::size_t{1} << 30;
}

// Tells the address sanitizer, where it runs, that only the first bytes of a buffer may be touched.
void allow(void* buffer, std::size_t bytes, std::size_t all) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(buffer, all);
  __asan_unpoison_memory_region(buffer, bytes);
#else
  (void)buffer, (void)bytes, (void)all;
#endif
}

class Cache {
 public:
  Cache() { stats_.cache_limit = default_cache_limit(); }

  void* take(std::size_t bytes) {
    const SizeClass c = size_class(bytes);
    void* buffer = reuse(c);
    if (!buffer) buffer = fresh(c);
    allow(buffer, bytes, c.bytes);
    return buffer;
  }

  void give(void* buffer, std::size_t bytes) noexcept {
    const SizeClass c = size_class(bytes);
    allow(buffer, 0, c.bytes);
    std::lock_guard<std::mutex> lock(mutex);
    ++stats_.frees;
    stats_.allocated -= c.bytes;
    if (stats_.cached + c.bytes > stats_.cache_limit || !push(c.index, buffer)) return system_free(buffer, c.bytes);
    stats_.cached += c.bytes;
  }

  void clear() {
    std::lock_guard<std::mutex> lock(mutex);
    for (int i = 0; i < kClasses; ++i) {
      for (void* buffer : free_[i]) system_free(buffer, bytes_of(i));
      free_[i].clear();
    }
    stats_.cached = 0;
  }

  MemoryStats stats() {
    std::lock_guard<std::mutex> lock(mutex);
    return stats_;
  }

  void reset_peak() {
    std::lock_guard<std::mutex> lock(mutex);
    stats_.peak = stats_.allocated;
  }

  std::mutex mutex;

 private:
  static std::size_t bytes_of(int index) {
    return index <= 4 ? index * kAlign : static_cast<std::size_t>((index - 1) % 4 + 5) << ((index - 1) / 4 + 5);
  }

  bool push(int index, void* buffer) noexcept {
    try {
      free_[index].push_back(buffer);
      return true;
    } catch (...) {
      return false;
    }
  }

  void count_allocation(std::size_t bytes) {
    ++stats_.allocations;
    stats_.allocated += bytes;
    stats_.peak = std::max(stats_.peak, stats_.allocated);
  }

  void* reuse(const SizeClass& c) {
    std::lock_guard<std::mutex> lock(mutex);
    if (free_[c.index].empty()) return nullptr;
    void* buffer = free_[c.index].back();
    free_[c.index].pop_back();
    stats_.cached -= c.bytes;
    ++stats_.reuses;
    count_allocation(c.bytes);
    return buffer;
  }

  void* fresh(const SizeClass& c) {
    void* buffer = system_allocate(c.bytes);
    if (!buffer) {  // what we keep may be what is missing
      clear();
      buffer = system_allocate(c.bytes);
    }
    if (!buffer) throw std::bad_alloc();
    std::lock_guard<std::mutex> lock(mutex);
    count_allocation(c.bytes);
    return buffer;
  }

  MemoryStats stats_;
  std::vector<void*> free_[kClasses];
};

// Never destroyed: arrays may outlive everything else at exit.
Cache& cache() {
  static Cache& instance = *[] {
    auto* made = new Cache;
#if defined(__unix__) || defined(__APPLE__)
    // A child must not inherit a mutex that another thread of its parent holds.
    pthread_atfork([] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); }, [] { cache().mutex.unlock(); });
#endif
    return made;
  }();
  return instance;
}

}  // namespace

void* allocate(std::size_t bytes) { return cache().take(bytes); }
void deallocate(void* buffer, std::size_t bytes) noexcept { cache().give(buffer, bytes); }
void empty_cache() { cache().clear(); }
MemoryStats memory_stats() { return cache().stats(); }
void reset_peak() { cache().reset_peak(); }

float* thread_scratch(Size floats) {
  struct Buffer {
    float* data = nullptr;
    Size count = 0;
    ~Buffer() {
      if (data) deallocate(data, count * sizeof(float));
    }
  };
  thread_local Buffer buffer;
  if (floats > buffer.count) {
    if (buffer.data) deallocate(buffer.data, buffer.count * sizeof(float));
    buffer.data = nullptr, buffer.count = 0;
    buffer.data = static_cast<float*>(allocate(floats * sizeof(float)));
    buffer.count = floats;
  }
  return buffer.data;
}

}  // namespace minigrad
