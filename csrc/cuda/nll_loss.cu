// l = -w_t x_t for x (n, classes, inner) and the target t of each of n inner places, 0 where t = ignore_index, and the
// gradient. weight may be null, then w is 1. A target that is no class makes the loss NaN, and gets no gradient.
//
//   _each     every loss
//   _chunks   one loss: blocks add up chunks of losses and of weights; `_total` adds up the sums of these

#include "common.cuh"

namespace {

struct Totals {
  double losses = 0.0, weights = 0.0;

  __device__ __forceinline__ Totals operator()(Totals a, Totals b) const {
    a.losses += b.losses, a.weights += b.weights;
    return a;
  }
};

struct Targets {
  const long long* target;
  const Real* weight;
  long long ignored;
  int classes;
  Size inner;

  __device__ __forceinline__ bool counts(Size i) const { return target[i] != ignored; }
  __device__ __forceinline__ bool is_class(Size i) const { return target[i] >= 0 && target[i] < classes; }
  __device__ __forceinline__ float weight_of(Size i) const { return weight ? wide(weight[target[i]]) : 1.0f; }
  __device__ __forceinline__ float loss(const Real* x, Size i) const {
    if (!counts(i)) return 0.0f;
    return is_class(i) ? -weight_of(i) * wide(x[(i / inner * classes + target[i]) * inner + i % inner]) : NAN;
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    nll_loss_forward_each(Real* loss, const Real* x, const long long* target, const Real* weight,
                          long long ignore_index, long long n, int classes, long long inner) {
  const Targets targets{target, weight, ignore_index, classes, inner};
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) loss[i] = targets.loss(x, i);
}

extern "C" __global__ void __launch_bounds__(256)
    nll_loss_forward_chunks(double* losses, double* weights, const Real* x, const long long* target, const Real* weight,
                            long long ignore_index, long long n, int classes, long long inner, int length) {
  const Targets targets{target, weight, ignore_index, classes, inner};
  const Size begin = static_cast<Size>(blockIdx.x) * length, end = begin + length < n ? begin + length : n;
  Totals all;
  for (Size i = begin + threadIdx.x; i < end; i += blockDim.x) {
    all.losses += targets.loss(x, i);
    if (targets.counts(i) && targets.is_class(i)) all.weights += targets.weight_of(i);
  }
  all = Block::merge(all, Totals(), Totals());
  if (threadIdx.x == 0) losses[blockIdx.x] = all.losses, weights[blockIdx.x] = all.weights;
}

// One block: loss = the sum, or the mean if `count` is not null.
extern "C" __global__ void __launch_bounds__(256)
    nll_loss_forward_total(Real* loss, double* count, const double* losses, const double* weights, long long chunks) {
  Totals all;
  for (Size i = threadIdx.x; i < chunks; i += blockDim.x) all.losses += losses[i], all.weights += weights[i];
  all = Block::merge(all, Totals(), Totals());
  if (threadIdx.x > 0) return;
  *loss = static_cast<float>(count ? all.losses / all.weights : all.losses);
  if (count) *count = all.weights;
}

// A thread for each element of dx; `step` is 0 where dy is one element.
extern "C" __global__ void __launch_bounds__(256)
    nll_loss_backward(Real* dx, const Real* dy, const double* count, const long long* target, const Real* weight,
                      long long ignore_index, long long size, int classes, long long inner, int step) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const Targets targets{target, weight, ignore_index, classes, inner};
  const Size at = i / inner / classes * inner + i % inner;
  const bool own = targets.counts(at) && target[at] == i / inner % classes;
  const double scale = own ? wide(dy[at * step]) / (count ? *count : 1.0) : 0.0;
  dx[i] = own ? static_cast<float>(-scale * targets.weight_of(at)) : 0.0f;
}
