// The elementwise kernels, one row each: the result's type, the name, and a formula of the elements a and b and the
// numbers p and q. Where an operand b is a number and no array, `b` is null in the launch and p is that number.
//
// Each row makes two entry points: `name`, over arrays that lie in C order, four elements at a time where all are
// aligned for that; `name_strided`, over any strides, 0 for a dimension that is broadcast.

#include "gelu.cuh"

constexpr int kMaxDims = 8;

// Sizes, and for each array its steps in elements; the last dimension is the innermost.
struct Strides {
  int ndim;
  int sizes[kMaxDims];
  long long y[kMaxDims], a[kMaxDims], b[kMaxDims];
};

namespace {

__device__ __forceinline__ Size first_element() { return static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ Size all_threads() { return static_cast<Size>(gridDim.x) * blockDim.x; }

__device__ __forceinline__ bool aligned(const void* p) { return reinterpret_cast<unsigned long long>(p) % 16 == 0; }

template <class T, class F>
__device__ __forceinline__ void map_tail(T* y, const float* a, const float* b, float p, float q, Size begin, Size n,
                                         const F& f) {
  for (Size i = begin + first_element(); i < n; i += all_threads()) y[i] = f(a[i], b ? b[i] : p, p, q);
}

// Results narrower than a float are written one by one.
template <class T, class F>
__device__ __forceinline__ void map(T* y, const float* a, const float* b, float p, float q, Size n, const F& f) {
  map_tail(y, a, b, p, q, 0, n, f);
}

template <class F>
__device__ __forceinline__ void map(float* y, const float* a, const float* b, float p, float q, Size n, const F& f) {
  const Size fours = aligned(y) && aligned(a) && aligned(b) ? n / 4 : 0;
  for (Size i = first_element(); i < fours; i += all_threads()) {
    const float4 u = reinterpret_cast<const float4*>(a)[i];
    const float4 v = b ? reinterpret_cast<const float4*>(b)[i] : make_float4(p, p, p, p);
    reinterpret_cast<float4*>(y)[i] =
        make_float4(f(u.x, v.x, p, q), f(u.y, v.y, p, q), f(u.z, v.z, p, q), f(u.w, v.w, p, q));
  }
  map_tail(y, a, b, p, q, 4 * fours, n, f);
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
__device__ __forceinline__ void map_strided(T* y, const float* a, const float* b, float p, float q, const Strides& s,
                                            Size n, const F& f) {
  for (Size i = first_element(); i < n; i += all_threads()) {
    const Offsets at(s, i);
    y[at.y] = f(a[at.a], b ? b[at.b] : p, p, q);
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

#define ROW(T, NAME, FORMULA)                                                                                      \
  struct NAME##_formula {                                                                                          \
    __device__ __forceinline__ T operator()(float a, float b, float p, float q) const { return FORMULA; }          \
  };                                                                                                               \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                             \
      NAME(T* y, const float* a, const float* b, float p, float q, long long n) {                                  \
    map(y, a, b, p, q, n, NAME##_formula());                                                                       \
  }                                                                                                                \
  extern "C" __global__ void __launch_bounds__(256)                                                                \
      NAME##_strided(T* y, const float* a, const float* b, float p, float q, const Strides strides, long long n) { \
    map_strided(y, a, b, p, q, strides, n, NAME##_formula());                                                      \
  }

// clang-format off
ROW(float, copy_forward, a)
ROW(float, neg_forward, -a)
ROW(float, neg_backward, -a)
ROW(float, sign_forward, sign(a))
ROW(float, sign_backward, 0.0f)
ROW(float, abs_forward, fabsf(a))
ROW(float, exp_forward, expf(a))
ROW(float, log_forward, logf(a))
ROW(float, sqrt_forward, sqrtf(a))
ROW(float, relu_forward, a < 0.0f ? 0.0f : a)
ROW(float, sigmoid_forward, sigmoid(a))
ROW(float, tanh_forward, tanhf(a))
ROW(float, erf_forward, erff(a))
ROW(float, silu_forward, a * sigmoid(a))
ROW(float, gelu_forward, a * normal_cdf(a))
ROW(float, gelu_tanh_forward, a * gelu_share(a))
ROW(float, clamp_forward, smaller(larger(a, p), q))
ROW(float, pow_scalar_forward, powf(a, p))
// dy is a; what the forward saved, x or y, is b
ROW(float, abs_backward, a * sign(b))
ROW(float, exp_backward, a * b)
ROW(float, log_backward, a / b)
ROW(float, sqrt_backward, a / (b + b))
ROW(float, relu_backward, b > 0.0f ? a : 0.0f)
ROW(float, sigmoid_backward, a * b * (1.0f - b))
ROW(float, tanh_backward, a * (1.0f - b * b))
ROW(float, erf_backward, a * (1.12837917f * expf(-b * b)))
ROW(float, silu_backward, a * silu_slope(b))
ROW(float, gelu_backward, a * (normal_cdf(b) + b * normal_density(b)))
ROW(float, gelu_tanh_backward, a * gelu_tanh_slope(b))
ROW(float, clamp_backward, b >= p && b <= q ? a : 0.0f)
ROW(float, pow_scalar_backward, a * power_slope(b, p))
ROW(float, add_forward, a + b)
ROW(float, sub_forward, a - b)
ROW(float, mul_forward, a * b)
ROW(float, div_forward, a / b)
ROW(float, pow_forward, powf(a, b))
ROW(float, maximum_forward, larger(a, b))
ROW(float, minimum_forward, smaller(a, b))
ROW(float, floor_divide_forward, floor_quotient(a, b))
ROW(float, trunc_divide_forward, truncf(a / b))
ROW(float, remainder_forward, remainder_of(a, b))
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
    where_forward(float* y, const bool* mask, const float* a, const float* b, float p, float q,
                  const WhereStrides strides, long long n) {
  for (Size i = first_element(); i < n; i += all_threads()) {
    const Offsets at(strides.arrays, i);
    Size m = 0, rest = i;
    for (int d = strides.arrays.ndim - 1; d >= 0; --d) {
      m += rest % strides.arrays.sizes[d] * strides.mask[d];
      rest /= strides.arrays.sizes[d];
    }
    y[at.y] = mask[m] ? (a ? a[at.a] : p) : (b ? b[at.b] : q);
  }
}
