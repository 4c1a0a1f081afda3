#include "cpu/ceilings.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

// Chains long enough to hide the latency of every processor with two multiply-add ports, few enough for 16 registers.
constexpr int kChains = 12;

std::atomic<float> sink{0};  // makes the results wanted

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void multiply_add(Size rounds) {
  const VFloat factor(0.999f), term(0.001f);
  VFloat chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = VFloat(static_cast<float>(i));
  for (Size r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * factor + term;
  VFloat total(0.0f);
  for (int i = 0; i < kChains; ++i) total += chain[i];
  sink.store(total[0], std::memory_order_relaxed);
}

// n floats, a multiple of 8 vectors
void read(const float* x, Size n) {
  VFloat sums[8];
  for (auto& sum : sums) sum = VFloat(0.0f);
  for (Size i = 0; i < n; i += 8 * kLanes)
    for (int j = 0; j < 8; ++j) sums[j] += VFloat::load(x + i + j * kLanes);
  VFloat total(0.0f);
  for (const auto& sum : sums) total += sum;
  sink.store(total[0], std::memory_order_relaxed);
}

// One share per thread, and each share of whole kilobytes.
struct Shares {
  explicit Shares(Size bytes) : threads(num_threads()), floats(bytes / threads / 1024 * 256) {
    require(bytes >= 1024 * threads, "bytes must be at least 1024 for each thread");
  }
  Size total() const { return threads * floats; }
  Size threads, floats;
};

template <class F>
double rate(const Shares& shares, Size bytes, Size repeats, F&& pass) {
  const double time = seconds([&] {
    parallel_for(shares.total(), shares.floats, [&](Size begin, Size end) {
      for (Size r = 0; r < repeats; ++r) {
        pass(begin, end - begin);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // no pass is merged with the next
      }
    });
  });
  return static_cast<double>(bytes) * static_cast<double>(repeats) / time;
}

}  // namespace

double fma_rate(Size rounds) {
  const Size chunks = 4 * num_threads();
  const double time = seconds([&] {
    parallel_for(chunks, 1, [&](Size begin, Size end) {
      for (Size i = begin; i < end; ++i) multiply_add(rounds);
    });
  });
  return 2.0 * kChains * kLanes * static_cast<double>(rounds * chunks) / time;
}

double read_rate(Size bytes, Size repeats) {
  const Shares shares(bytes);
  const Scratch<float> x(shares.total());
  std::memset(x.data(), 0, shares.total() * sizeof(float));
  return rate(shares, shares.total() * sizeof(float), repeats, [&](Size begin, Size n) { read(x.data() + begin, n); });
}

double copy_rate(Size bytes, Size repeats) {
  const Shares shares(bytes / 2);
  const Scratch<float> x(shares.total()), y(shares.total());
  std::memset(x.data(), 0, shares.total() * sizeof(float));
  std::memset(y.data(), 0, shares.total() * sizeof(float));
  return rate(shares, 2 * shares.total() * sizeof(float), repeats,
              [&](Size begin, Size n) { std::memcpy(y.data() + begin, x.data() + begin, n * sizeof(float)); });
}

}  // namespace minigrad
