// y = softmax(q k^T scale + mask) v for q (.., L, E), k (.., S, E), v (.., S, Ev), and the gradients; no matrix of
// scores is ever stored. A warp owns a row: of y and dq a query, of dk and dv a key. It goes through the rows of the
// other side 32 at a time, a score for each lane, and keeps the largest score and the sum of e^(score - peak) as it
// goes (Dao, Fu, Ermon, Rudra and Re, 2022). What a row adds up is held in registers, 256 columns to a block, and
// every sum runs in order, without atomics. lse is the log of the sum, +inf where nothing may be looked at.

#include "common.cuh"

constexpr int kBatchDims = 4, kOwnColumns = 8, kColumns = kOwnColumns * kWarp;

// Steps in elements; within a row they are 1.
struct Steps {
  long long batch[kBatchDims];
  long long row;
};

// mask_column is the step within a row of the mask.
struct AttentionShape {
  int sizes[kBatchDims];
  int queries, keys, width, values;
  Steps q, k, v, y, dy, dq, dk, dv, mask;
  long long mask_column;
};

namespace {

__device__ __forceinline__ Size offset(const AttentionShape& s, const Steps& steps) {
  Size at = 0, rest = blockIdx.y;
  for (int d = kBatchDims - 1; d >= 0; --d) {
    at += rest % s.sizes[d] * steps.batch[d];
    rest /= s.sizes[d];
  }
  return at;
}

__device__ __forceinline__ float dot(const Real* a, const Real* b, int n) {
  float total = 0.0f;
  for (int i = 0; i < n; ++i) total += wide(a[i]) * wide(b[i]);
  return total;
}

struct Scores {
  const Real *q, *k, *mask;
  Size q_row, k_row, mask_row, mask_column;
  int width;
  float scale;

  __device__ __forceinline__ Scores(const Real* q, const Real* k, const Real* mask, const AttentionShape& s,
                                    float scale)
      : q(q + offset(s, s.q)),
        k(k + offset(s, s.k)),
        mask(mask ? mask + offset(s, s.mask) : nullptr),
        q_row(s.q.row),
        k_row(s.k.row),
        mask_row(s.mask.row),
        mask_column(s.mask_column),
        width(s.width),
        scale(scale) {}

  __device__ __forceinline__ float operator()(Size i, Size j) const {
    return dot(q + i * q_row, k + j * k_row, width) * scale +
           (mask ? wide(mask[i * mask_row + j * mask_column]) : 0.0f);
  }
};

// The columns of one row that this lane adds up.
struct Columns {
  float sums[kOwnColumns] = {};

  static __device__ __forceinline__ int column(int i) {
    return blockIdx.z * kColumns + i * kWarp + threadIdx.x % kWarp;
  }

  __device__ __forceinline__ void add(float factor, const Real* row, int n) {
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i)
      if (column(i) < n) sums[i] += factor * wide(row[column(i)]);
  }
  __device__ __forceinline__ void scale(float factor) {
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i) sums[i] *= factor;
  }
  __device__ __forceinline__ void write(Real* row, int n) const {
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i)
      if (column(i) < n) row[column(i)] = sums[i];
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(128)
    attention_forward(Real* y, double* lse, const Real* q, const Real* k, const Real* v, const Real* mask, float scale,
                      bool causal, const AttentionShape s) {
  const Size i = warp_row();
  if (i >= s.queries) return;
  const Scores score(q, k, mask, s, scale);
  const int lane = Warp::rank(), end = causal && i + 1 < s.keys ? static_cast<int>(i) + 1 : s.keys;
  v += offset(s, s.v);
  float peak = -INFINITY, total = 0.0f;
  Columns mine;
  for (int begin = 0; begin < end; begin += kWarp) {
    const float x = begin + lane < end ? score(i, begin + lane) : -INFINITY;
    const float higher = fmaxf(peak, largest<Warp>(x));
    const bool nothing = higher == -INFINITY && !__any_sync(kAllLanes, x != x);
    if (nothing) continue;
    const float p = x == -INFINITY ? 0.0f : expf(x - higher), shrink = peak == -INFINITY ? 0.0f : expf(peak - higher);
    total = total * shrink + sum<Warp>(p);
    mine.scale(shrink);
    peak = higher;
    for (int j = 0; j < kWarp && begin + j < end; ++j)
      mine.add(__shfl_sync(kAllLanes, p, j), v + (begin + j) * s.v.row, s.values);
  }
  mine.scale(1.0f / (total == 0.0f ? 1.0f : total));
  mine.write(y + offset(s, s.y) + i * s.y.row, s.values);
  if (lane == 0 && blockIdx.z == 0)
    lse[static_cast<Size>(blockIdx.y) * s.queries + i] =
        total == 0.0f ? static_cast<double>(INFINITY) : log(static_cast<double>(total)) + peak;
}

extern "C" __global__ void __launch_bounds__(128)
    attention_backward_queries(Real* dq, const Real* dy, const Real* y, const double* lse, const Real* q, const Real* k,
                               const Real* v, const Real* mask, float scale, bool causal, const AttentionShape s) {
  const Size i = warp_row();
  if (i >= s.queries) return;
  const Scores score(q, k, mask, s, scale);
  const int lane = Warp::rank(), end = causal && i + 1 < s.keys ? static_cast<int>(i) + 1 : s.keys;
  const Real* dy_row = dy + offset(s, s.dy) + i * s.dy.row;
  const float along = dot(dy_row, y + offset(s, s.y) + i * s.y.row, s.values);
  const double total = lse[static_cast<Size>(blockIdx.y) * s.queries + i];
  v += offset(s, s.v);
  k += offset(s, s.k);
  Columns mine;
  for (int begin = 0; begin < end; begin += kWarp) {
    const int j = begin + lane;
    float slope = 0.0f;
    if (j < end)
      slope = static_cast<float>(exp(score(i, j) - total)) * (dot(dy_row, v + j * s.v.row, s.values) - along) * scale;
    for (int other = 0; other < kWarp && begin + other < end; ++other)
      mine.add(__shfl_sync(kAllLanes, slope, other), k + (begin + other) * s.k.row, s.width);
  }
  mine.write(dq + offset(s, s.dq) + i * s.dq.row, s.width);
}

extern "C" __global__ void __launch_bounds__(128)
    attention_backward_keys(Real* dk, Real* dv, const Real* dy, const Real* y, const double* lse, const Real* q,
                            const Real* k, const Real* v, const Real* mask, float scale, bool causal,
                            const AttentionShape s) {
  const Size j = warp_row();
  if (j >= s.keys) return;
  const Scores score(q, k, mask, s, scale);
  const int lane = Warp::rank();
  const Real* v_row = v + offset(s, s.v) + j * s.v.row;
  q += offset(s, s.q);
  y += offset(s, s.y);
  dy += offset(s, s.dy);
  lse += static_cast<Size>(blockIdx.y) * s.queries;
  Columns key, value;
  for (Size begin = causal ? j / kWarp * kWarp : 0; begin < s.queries; begin += kWarp) {
    const Size i = begin + lane;
    float p = 0.0f, slope = 0.0f;
    if (i < s.queries && (!causal || i >= j)) {
      const Real* dy_row = dy + i * s.dy.row;
      p = static_cast<float>(exp(score(i, j) - lse[i]));
      slope = p * (dot(dy_row, v_row, s.values) - dot(dy_row, y + i * s.y.row, s.values)) * scale;
    }
    for (int other = 0; other < kWarp && begin + other < s.queries; ++other) {
      key.add(__shfl_sync(kAllLanes, slope, other), q + (begin + other) * s.q.row, s.width);
      value.add(__shfl_sync(kAllLanes, p, other), dy + (begin + other) * s.dy.row, s.values);
    }
  }
  key.write(dk + offset(s, s.dk) + j * s.dk.row, s.width);
  value.write(dv + offset(s, s.dv) + j * s.dv.row, s.values);
}
