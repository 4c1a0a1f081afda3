// The elementwise kernels, one row each: the result's type, the name, and a formula of the elements a and b and the
// numbers p and q. Where an operand b is a number and no array, `b` is null in the launch and p is that number.
//
// Each row makes two entry points: `name`, over arrays that lie in C order, 16 bytes at a time where all are
// aligned for that; `name_strided`, over any strides, 0 for a dimension that is broadcast.

#include "gelu.cuh"
#include "pack.cuh"

constexpr int kMaxDims = 8;
constexpr int kBlocks = sizeof(Real) == 4 ? 4 : 3;  // at a time on a multiprocessor; a fourth would let halves spill

// Sizes, and for each array its steps in elements; the last dimension is the innermost.
struct Strides {
  int ndim;
  int sizes[kMaxDims];
  long long y[kMaxDims], a[kMaxDims], b[kMaxDims];
};

namespace {

__device__ __forceinline__ Size first_element() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ Size all_threads() { return static_cast<Size>(gridDim.x) * blockDim.x; }

// y's pack i of a and, where b is an array, b.
template <class T, class F>
__device__ __forceinline__ Pack<T> mapped(const Pack<Real>& a, const Pack<Real>& b, bool by_number, float p, float q,
                                          const F& f) {
  Pack<T> y;
#pragma unroll
  for (int i = 0; i < kPack; ++i) y.at[i] = f(wide(a.at[i]), by_number ? p : wide(b.at[i]), p, q);
  return y;
}

// Two packs at a time: the second one's loads do not wait for the first one's results. Then the rest, one by one.
template <class T, class F>
__device__ __forceinline__ void map(T* y, const Real* a, const Real* b, float p, float q, Size n, const F& f) {
  const Size packs = aligned(y) && aligned(a) && aligned(b) ? n / kPack : 0, step = all_threads();
  const auto* as = reinterpret_cast<const Pack<Real>*>(a);
  const auto* bs = reinterpret_cast<const Pack<Real>*>(b);
  auto* ys = reinterpret_cast<Pack<T>*>(y);
  for (Size i = first_element(); i < packs; i += 2 * step) {
    const Size j = i + step < packs ? i + step : i;
    const Pack<Real> a0 = as[i], a1 = as[j];
    Pack<Real> b0 = a0, b1 = a1;
    if (b) b0 = bs[i], b1 = bs[j];
    ys[i] = mapped<T>(a0, b0, !b, p, q, f);
    if (j != i) ys[j] = mapped<T>(a1, b1, !b, p, q, f);
  }
  for (Size i = kPack * packs + first_element(); i < n; i += step) y[i] = f(wide(a[i]), b ? wide(b[i]) : p, p, q);
}

// Where the i-th element of each array lies.
struct Offsets {
  Size y = 0, a = 0, b = 0;

  __device__ __forceinline__ Offsets(const Strides& s, Size i) {
    for (int d = s.ndim - 1; d >= 0; --d) {
      const Size at = i % s.sizes[d];
      i /= s.sizes[d];
      y += at * s.y[d], a += at * s.a[d], b += at * s.b[d];
    }
  }
};

template <class T, class F>
__device__ __forceinline__ void map_strided(T* y, const Real* a, const Real* b, float p, float q, const Strides& s,
                                            Size n, const F& f) {
  for (Size i = first_element(); i < n; i += all_threads()) {
    const Offsets at(s, i);
    y[at.y] = f(wide(a[at.a]), b ? wide(b[at.b]) : p, p, q);
  }
}

// Formulas with more than a few words ---------------------------------------------------------------------------------

// NaN passes all of these, as on the CPU.
__device__ __forceinline__ float larger(float a, float b) { return a > b || a != a ? a : b; }
__device__ __forceinline__ float smaller(float a, float b) { return a < b || a != a ? a : b; }
__device__ __forceinline__ float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? 0.0f : x; }

__device__ __forceinline__ float silu_slope(float x) { return sigmoid(x) * (1.0f + x * (1.0f - sigmoid(x))); }

__device__ __forceinline__ float power_slope(float x, float e) { return e == 0.0f ? 0.0f : e * powf(x, e - 1.0f); }

// Python's: the rest is exact and has the sign of b, the quotient is what b goes into a - rest.
__device__ __forceinline__ float remainder_of(float a, float b) {
  const float rest = fmodf(a, b);
  if (rest == 0.0f) return copysignf(0.0f, b);
  return b != 0.0f && (b < 0.0f) != (rest < 0.0f) ? rest + b : rest;
}
__device__ __forceinline__ float floor_quotient(float a, float b) {
  if (b == 0.0f) return a / b;
  const float rest = fmodf(a, b), other_sign = rest != 0.0f && (b < 0.0f) != (rest < 0.0f) ? 1.0f : 0.0f;
  const float quotient = (a - rest) / b - other_sign, down = floorf(quotient);
  if (quotient == 0.0f) return copysignf(0.0f, a / b);
  return quotient - down > 0.5f ? down + 1.0f : down;
}

}  // namespace

#define ROW(T, NAME, FORMULA)                                                                                    \
  struct NAME##_formula {                                                                                        \
    __device__ __forceinline__ auto operator()(float a, float b, float p, float q) const { return FORMULA; }     \
  };                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256, kBlocks)                                                     \
      NAME(T* y, const Real* a, const Real* b, float p, float q, long long n) {                                  \
    map(y, a, b, p, q, n, NAME##_formula());                                                                     \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                              \
      NAME##_strided(T* y, const Real* a, const Real* b, float p, float q, const Strides strides, long long n) { \
    map_strided(y, a, b, p, q, strides, n, NAME##_formula());                                                    \
  }

// clang-format off
ROW(Real, copy_forward, a)
ROW(Real, neg_forward, -a)
ROW(Real, neg_backward, -a)
ROW(Real, sign_forward, sign(a))
ROW(Real, sign_backward, 0.0f)
ROW(Real, abs_forward, fabsf(a))
ROW(Real, exp_forward, expf(a))
ROW(Real, log_forward, logf(a))
ROW(Real, sqrt_forward, sqrtf(a))
ROW(Real, relu_forward, a < 0.0f ? 0.0f : a)
ROW(Real, sigmoid_forward, sigmoid(a))
ROW(Real, tanh_forward, tanhf(a))
ROW(Real, erf_forward, erff(a))
ROW(Real, silu_forward, a * sigmoid(a))
ROW(Real, gelu_forward, gelu(a))
ROW(Real, gelu_tanh_forward, gelu_tanh(a))
ROW(Real, clamp_forward, smaller(larger(a, p), q))
ROW(Real, pow_scalar_forward, powf(a, p))
// dy is a; what the forward saved, x or y, is b
ROW(Real, abs_backward, a * sign(b))
ROW(Real, exp_backward, a * b)
ROW(Real, log_backward, a / b)
ROW(Real, sqrt_backward, a / (b + b))
ROW(Real, relu_backward, b > 0.0f ? a : 0.0f)
ROW(Real, sigmoid_backward, a * b * (1.0f - b))
ROW(Real, tanh_backward, a * (1.0f - b * b))
ROW(Real, erf_backward, a * (1.12837917f * expf(-b * b)))
ROW(Real, silu_backward, a * silu_slope(b))
ROW(Real, gelu_backward, a * gelu_slope(b))
ROW(Real, gelu_tanh_backward, a * gelu_tanh_slope(b))
ROW(Real, clamp_backward, b >= p && b <= q ? a : 0.0f)
ROW(Real, pow_scalar_backward, a * power_slope(b, p))
ROW(Real, add_forward, a + b)
ROW(Real, sub_forward, a - b)
ROW(Real, mul_forward, a * b)
ROW(Real, div_forward, a / b)
ROW(Real, pow_forward, powf(a, b))
ROW(Real, maximum_forward, larger(a, b))
ROW(Real, minimum_forward, smaller(a, b))
ROW(Real, floor_divide_forward, floor_quotient(a, b))
ROW(Real, trunc_divide_forward, truncf(a / b))
ROW(Real, remainder_forward, remainder_of(a, b))
ROW(bool, eq_forward, a == b)
ROW(bool, ne_forward, a != b)
ROW(bool, gt_forward, a > b)
ROW(bool, lt_forward, a < b)
ROW(bool, ge_forward, a >= b)
ROW(bool, le_forward, a <= b)
// clang-format on

// y = mask ? a : b over any strides; a or b that are null are the numbers p and q. The strides `y` serve y, `m` the
// mask.
struct WhereStrides {
  Strides arrays;
  long long mask[kMaxDims];
};

extern "C" __global__ void __launch_bounds__(256)
    where_forward(Real* y, const bool* mask, const Real* a, const Real* b, float p, float q, const WhereStrides strides,
                  long long n) {
  for (Size i = first_element(); i < n; i += all_threads()) {
    const Offsets at(strides.arrays, i);
    Size m = 0, rest = i;
    for (int d = strides.arrays.ndim - 1; d >= 0; --d) {
      m += rest % strides.arrays.sizes[d] * strides.mask[d];
      rest /= strides.arrays.sizes[d];
    }
    y[at.y] = mask[m] ? (a ? wide(a[at.a]) : p) : (b ? wide(b[at.b]) : q);
  }
}

// y = a where a's neighbours lie along the last but one dimension, y's along the last: tiles of 32 x 32 turned over in
// shared memory, so that neighbours are read and written by neighbours. Blocks are counted along the tiles of a matrix
// first, then along the dimensions before. Rows of a tile are padded by a word: a column of it lies in all banks.
constexpr int kSide = 32;

extern "C" __global__ void __launch_bounds__(256) copy_forward_turned(Real* y, const Real* a, const Strides s) {
  __shared__ Real tile[kSide][kSide + 4 / sizeof(Real)];
  const int rows = s.sizes[s.ndim - 2], columns = s.sizes[s.ndim - 1];
  const int across = (columns + kSide - 1) / kSide, down = (rows + kSide - 1) / kSide;
  const int row0 = blockIdx.x / across % down * kSide, column0 = blockIdx.x % across * kSide;
  const int neighbour = threadIdx.x;
  int matrix = blockIdx.x / across / down;
  for (int d = s.ndim - 3; d >= 0; --d) {
    const int at = matrix % s.sizes[d];
    matrix /= s.sizes[d];
    y += at * s.y[d], a += at * s.a[d];
  }
  for (int c = threadIdx.y; c < kSide; c += 8)
    if (row0 + neighbour < rows && column0 + c < columns)
      tile[c][neighbour] = a[row0 + neighbour + (column0 + c) * s.a[s.ndim - 1]];
  __syncthreads();
  for (int r = threadIdx.y; r < kSide; r += 8)
    if (row0 + r < rows && column0 + neighbour < columns)
      y[(row0 + r) * s.y[s.ndim - 2] + column0 + neighbour] = tile[neighbour][r];
}
