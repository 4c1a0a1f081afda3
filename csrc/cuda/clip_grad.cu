// The norm of many arrays as of one long vector, and their scaling where it is too large, in place.
//
// The norm takes two steps: `_chunks`, each block the squares of its chunk; `_total`, one block the root of their sum.

#include "tensors.cuh"

namespace {

struct AddDouble {
  __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
};

}  // namespace

// lists: arrays; `begin` is how many chunks earlier launches had
extern "C" __global__ void __launch_bounds__(256)
    total_norm_chunks(double* parts, const Tensors tensors, long long begin) {
  double squares = 0.0;
  for_chunk(tensors, [&](Size i, Real* const* a) { squares += static_cast<double>(wide(a[0][i])) * wide(a[0][i]); });
  squares = Block::merge(squares, 0.0, AddDouble());
  if (threadIdx.x == 0) parts[begin + blockIdx.x] = squares;
}

extern "C" __global__ void __launch_bounds__(256) total_norm_total(float* norm, const double* parts, long long n) {
  double squares = 0.0;
  for (Size i = threadIdx.x; i < n; i += blockDim.x) squares += parts[i];
  squares = Block::merge(squares, 0.0, AddDouble());
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(squares));
}

// x = x min(1, max_norm / (norm + 1e-6)) for all arrays; NaN passes
extern "C" __global__ void __launch_bounds__(256) clip_norm(const Tensors tensors, const float* norm, float max_norm) {
  const float factor = max_norm / (*norm + 1e-6f);
  for_chunk(tensors, [=](Size i, Real* const* a) { a[0][i] = wide(a[0][i]) * (factor > 1.0f ? 1.0f : factor); });
}
