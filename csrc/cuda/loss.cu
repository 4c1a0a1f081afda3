// Losses of every element, l = value(x, t), with their reduction, and the gradient in x: a row each.
//
//   _each     loss_i = scale l_i
//   _chunks   one loss: blocks add up chunks, in double; `loss_forward_total` adds up the sums of these
//   backward  dx_i = scale dy slope(x, t); `step` is 0 where dy is one element, else 1

#include "common.cuh"

namespace {

struct AddDouble {
  __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
};

__device__ __forceinline__ Size own_element() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }

template <class F>
__device__ __forceinline__ void sum_chunk(double* parts, const Real* x, const Real* t, Size n, int length,
                                          const F& value) {
  const Size begin = static_cast<Size>(blockIdx.x) * length, end = begin + length < n ? begin + length : n;
  double total = 0.0;
  for (Size i = begin + threadIdx.x; i < end; i += blockDim.x) total += value(x[i], t[i]);
  total = Block::merge(total, 0.0, AddDouble());
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

// Formulas -----------------------------------------------------------------------------------------------------------

// Logarithms are cut off, so that a sure mistake costs much but not infinitely much; NaN passes.
__device__ __forceinline__ float cut(float x, float lowest) { return x < lowest ? lowest : x; }
__device__ __forceinline__ float entropy(float x, float t) {
  return -(t * cut(logf(x), -100.0f) + (1.0f - t) * cut(log1pf(-x), -100.0f));
}
__device__ __forceinline__ float entropy_slope(float x, float t) { return (x - t) / cut(x * (1.0f - x), 1e-12f); }

__device__ __forceinline__ float logit_entropy(float x, float t) {
  return cut(x, 0.0f) - x * t + log1pf(expf(-fabsf(x)));
}
__device__ __forceinline__ float logit_slope(float x, float t) { return 1.0f / (1.0f + expf(-x)) - t; }

}  // namespace

#define LOSS(NAME, VALUE, SLOPE)                                                                                    \
  struct NAME##_value {                                                                                             \
    __device__ __forceinline__ float operator()(float x, float t) const { return VALUE; }                           \
  };                                                                                                                \
  extern "C" __global__ void __launch_bounds__(256)                                                                 \
      NAME##_forward_each(Real* loss, const Real* x, const Real* t, float scale, long long n) {                     \
    const Size i = own_element();                                                                                   \
    if (i < n) loss[i] = scale * NAME##_value()(x[i], t[i]);                                                        \
  }                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256)                                                                 \
      NAME##_forward_chunks(double* parts, const Real* x, const Real* t, long long n, int length) {                 \
    sum_chunk(parts, x, t, n, length, NAME##_value());                                                              \
  }                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256)                                                                 \
      NAME##_backward(Real* dx, const Real* dy, const Real* x, const Real* t, float scale, int step, long long n) { \
    const auto slope = [](float x, float t) { return SLOPE; };                                                      \
    const Size i = own_element();                                                                                   \
    if (i < n) dx[i] = scale * wide(dy[i * step]) * slope(x[i], t[i]);                                              \
  }

LOSS(mse_loss, (x - t) * (x - t), 2.0f * (x - t))
LOSS(binary_cross_entropy, entropy(x, t), entropy_slope(x, t))
LOSS(binary_cross_entropy_with_logits, logit_entropy(x, t), logit_slope(x, t))

extern "C" __global__ void __launch_bounds__(256)
    loss_forward_total(Real* loss, const double* parts, double scale, long long n) {
  double total = 0.0;
  for (Size i = threadIdx.x; i < n; i += blockDim.x) total += parts[i];
  total = Block::merge(total, 0.0, AddDouble());
  if (threadIdx.x == 0) *loss = static_cast<float>(scale * total);
}
