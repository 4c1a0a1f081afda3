// A pool of buffers in size classes: fresh pages cost more than most kernels, and every kernel wants 64-byte alignment.
//
// A class is a quarter of an octave (at most 25 % is wasted). What is given back is kept for the next request of its
// class, up to `cache_limit` bytes in all: a quarter of the machine's (or the container's) memory, or
// MINIGRAD_CACHE_MB. Thread- and fork-safe.
#pragma once

#include <cstddef>

#include "cpu/array.h"

namespace minigrad {

void* allocate(std::size_t bytes);
void deallocate(void* buffer, std::size_t bytes) noexcept;
void empty_cache();

struct MemoryStats {
  std::size_t allocated = 0;  // bytes in use now, rounded up to their classes
  std::size_t cached = 0;     // bytes kept for reuse
  std::size_t peak = 0;       // most bytes ever in use
  std::size_t allocations = 0, reuses = 0, frees = 0;
  std::size_t cache_limit = 0;
  std::size_t reserved() const { return allocated + cached; }
};
MemoryStats memory_stats();
void reset_peak();

// Working space of a kernel for the time of a call.
template <class T>
class Scratch {
 public:
  explicit Scratch(Size count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)), data_(static_cast<T*>(allocate(bytes_))) {}
  ~Scratch() { deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  T* data() const { return data_; }
  T& operator[](Size i) const { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

// Working space that stays with the thread and so in its cache; the next call on the same thread overwrites it.
float* thread_scratch(Size floats);

}  // namespace minigrad
