// Cross entropy of the rows of x (rows, classes) with target (rows,), and its gradient.
//
//   q_c = (1 - s) w_t [c = t] + s w_c / classes        s the label smoothing, w the weights of the classes (null: 1)
//   loss of a row = sum of q_c (lse - x_c), lse = log sum e^x; 0 where target = ignore_index
//
// `_rows` finds lse and, for each row, its loss and its weight w_t in the mean; `_total` adds those up in one block, so
// that the result is the same for any order of blocks. A target that is no class makes the loss NaN.

#include "common.cuh"

namespace {

struct Online {
  float peak = -INFINITY, total = 0.0f;

  __device__ __forceinline__ void add(float x) {
    if (x == -INFINITY) return;
    const float higher = fmaxf(peak, x);
    total = total * expf(peak - higher) + expf(x - higher);
    peak = higher;
  }
};

__device__ __forceinline__ float weight_of(const Real* weight, long long c) { return weight ? wide(weight[c]) : 1.0f; }

}  // namespace

// A warp for each row.
extern "C" __global__ void __launch_bounds__(128)
    cross_entropy_forward_rows(double* losses, double* weights, double* lse, const Real* x, const long long* target,
                               const Real* weight, long long ignore_index, float smoothing, long long rows,
                               int classes) {
  const Size row = warp_row();
  if (row >= rows) return;
  const Real* x_row = x + row * classes;
  Online mine;
  for_columns<Warp>(classes, [&](int c) { mine.add(x_row[c]); });
  const float peak = largest<Warp>(mine.peak);
  const float total = sum<Warp>(mine.peak == -INFINITY ? mine.total : mine.total * expf(mine.peak - peak));
  const double log_total = log(static_cast<double>(total)) + peak;
  float smooth = 0.0f;
  if (smoothing > 0.0f) {
    for_columns<Warp>(classes, [&](int c) {
      const float q = weight_of(weight, c) / classes;
      if (q != 0.0f) smooth += q * static_cast<float>(log_total - wide(x_row[c]));
    });
    smooth = sum<Warp>(smooth) * smoothing;
  }
  if (Warp::rank() > 0) return;
  const long long t = target[row];
  const bool counts = t != ignore_index, is_class = t >= 0 && t < classes;
  const float own = counts && is_class ? weight_of(weight, t) : 0.0f, q = own * (1.0f - smoothing);
  const double hit = q != 0.0f ? q * (log_total - wide(x_row[t])) : 0.0;
  lse[row] = log_total;
  weights[row] = own;
  losses[row] = !counts ? 0.0 : is_class ? hit + smooth : static_cast<double>(NAN);
}

// One block: loss = sum of losses, or the mean if `count` is not null.
extern "C" __global__ void __launch_bounds__(256)
    cross_entropy_forward_total(Real* loss, double* count, const double* losses, const double* weights,
                                long long rows) {
  struct AddDouble {
    __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
  };
  double total = 0.0, all = 0.0;
  for (Size r = threadIdx.x; r < rows; r += blockDim.x) total += losses[r], all += weights[r];
  total = Block::merge(total, 0.0, AddDouble());
  all = Block::merge(all, 0.0, AddDouble());
  if (threadIdx.x > 0) return;
  *loss = static_cast<float>(count ? total / all : total);
  if (count) *count = all;
}

extern "C" __global__ void __launch_bounds__(256)
    cross_entropy_forward_each(Real* loss, const double* losses, long long rows) {
  const Size row = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row < rows) loss[row] = static_cast<float>(losses[row]);
}

// dx_c = dy (e^(x_c - lse) sum q - q_c), divided by `count` if that is not null; `step` is 0 where dy is one element.
extern "C" __global__ void __launch_bounds__(128)
    cross_entropy_backward(Real* dx, const Real* dy, const double* count, const Real* x, const double* lse,
                           const long long* target, const Real* weight, long long ignore_index, float smoothing,
                           long long rows, int classes, int step) {
  const Size row = warp_row();
  if (row >= rows) return;
  const Real* x_row = x + row * classes;
  Real* dx_row = dx + row * classes;
  const long long t = target[row];
  const bool counts = t != ignore_index && t >= 0 && t < classes;
  float all = 0.0f;
  if (smoothing > 0.0f) for_columns<Warp>(classes, [&](int c) { all += weight_of(weight, c) / classes; });
  all = sum<Warp>(all) * smoothing;
  const float own = counts ? weight_of(weight, t) * (1.0f - smoothing) : 0.0f;
  const float scale = static_cast<float>(wide(dy[row * step]) / (count ? *count : 1.0));
  for_columns<Warp>(classes, [&](int c) {
    const float q = smoothing * weight_of(weight, c) / classes + (c == t ? own : 0.0f);
    const float p = static_cast<float>(exp(wide(x_row[c]) - lse[row]));
    dx_row[c] = counts ? scale * (p * (all + own) - q) : 0.0f;
  });
}
