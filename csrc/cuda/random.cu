// Philox4x32-10: element i of a stream comes from the counter offset + i / 4, word i % 4, under the key seed; the same
// numbers as on the CPU (Salmon, Moraes, Dror and Shaw, 2011). A thread makes the four elements of one counter.

#include "common.cuh"

namespace {

struct Words {
  unsigned w[4];
};

__device__ __forceinline__ Words philox(unsigned long long seed, unsigned long long counter) {
  unsigned c0 = static_cast<unsigned>(counter), c1 = static_cast<unsigned>(counter >> 32), c2 = 0, c3 = 0;
  unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
    const unsigned low1 = 0xCD9E8D57u * c2, high1 = __umulhi(0xCD9E8D57u, c2);
    c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

__device__ __forceinline__ Size counter_of_thread() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }

// f(element, word) for the four elements of a counter.
template <class F>
__device__ __forceinline__ void for_elements(const Words& words, Size n, const F& f) {
  const Size first = 4 * counter_of_thread();
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (first + i < n) f(first + i, words.w[i]);
}

__device__ __forceinline__ float uniform(unsigned word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace

extern "C" __global__ void __launch_bounds__(256) uniform_fill(Real* y, long long seed, long long offset, long long n) {
  for_elements(philox(seed, offset + counter_of_thread()), n, [=](Size i, unsigned word) { y[i] = uniform(word); });
}

// Box and Muller on pairs of words: r cos and r sin of 2 pi u, r = sqrt(-2 ln(u' + 2^-24)).
extern "C" __global__ void __launch_bounds__(256) normal_fill(Real* y, long long seed, long long offset, long long n) {
  const Words words = philox(seed, offset + counter_of_thread());
  const Size first = 4 * counter_of_thread();
#pragma unroll
  for (int pair = 0; pair < 2; ++pair) {
    const float r = sqrtf(-2.0f * logf(uniform(words.w[2 * pair]) + 0x1p-24f));
    float sine, cosine;
    sincospif(2.0f * uniform(words.w[2 * pair + 1]), &sine, &cosine);
    const Size i = first + 2 * pair;
    if (i < n) y[i] = r * cosine;
    if (i + 1 < n) y[i + 1] = r * sine;
  }
}

// y = x scale where the stream's number, of 24 bits, is at least `dropped`, else 0; forward and backward are the same.
extern "C" __global__ void __launch_bounds__(256)
    dropout_forward(Real* y, const Real* x, float scale, int dropped, long long seed, long long offset, long long n) {
  for_elements(philox(seed, offset + counter_of_thread()), n, [=](Size i, unsigned word) {
    y[i] = static_cast<int>(word >> 8) >= dropped ? wide(x[i]) * scale : 0.0f;
  });
}
