// Reductions of x (outer, n, inner) over n, to y (outer, inner).
//
//   _warp, _block   inner = 1: a row is work for a warp or, where it is long, for a block
//   _columns        inner > 1: a block takes 32 neighbouring results, so that loads are coalesced, and shares n among
//                   its 8 warps
//   _chunks         one sum of everything: blocks add up chunks; `_total` adds up the sums of these
//
// What is computed is a `State`: how it starts, takes in an element (with its place in n), merges with another that
// saw other elements, and what it writes. Sums depend on the shapes alone, never on which block came first.

#include "common.cuh"

namespace {

struct Sum {
  float total = 0.0f;

  __device__ __forceinline__ void add(float x, int) { total += x; }
  __device__ __forceinline__ Sum operator()(Sum a, Sum b) const {
    a.total += b.total;
    return a;
  }
  template <class Out>
  __device__ __forceinline__ void write(Out* y, Real*, Size at, float divisor) const {
    y[at] = total / divisor;
  }
};

struct Product {
  float total = 1.0f;

  __device__ __forceinline__ void add(float x, int) { total *= x; }
  __device__ __forceinline__ Product operator()(Product a, Product b) const {
    a.total *= b.total;
    return a;
  }
  template <class Out>
  __device__ __forceinline__ void write(Out* y, Real*, Size at, float) const {
    y[at] = total;
  }
};

// The largest element (SIGN = 1) or the smallest (-1), and the first place where it stands. NaN beats all numbers.
template <int SIGN>
struct Extremum {
  float value = -SIGN * INFINITY;
  int place = 0x7fffffff;

  static __device__ __forceinline__ bool beats(float a, int i, float b, int j) {
    if (a != a || b != b) return a != a && (b == b || i < j);
    return SIGN * a > SIGN * b || (a == b && i < j);
  }
  __device__ __forceinline__ void add(float x, int i) {
    if (beats(x, i, value, place)) value = x, place = i;
  }
  __device__ __forceinline__ Extremum operator()(Extremum a, Extremum b) const {
    return beats(b.value, b.place, a.value, a.place) ? b : a;
  }
  __device__ __forceinline__ void write(Real* y, long long* index, Size at, float) const {
    y[at] = value, index[at] = place;
  }
};
using Largest = Extremum<1>;
using Smallest = Extremum<-1>;

// The largest element, and the sum of e^(x - peak).
struct LogSumExp {
  float peak = -INFINITY, total = 0.0f;

  static __device__ __forceinline__ float scaled(float total, float from, float to) {
    return from == to ? total : total * expf(from - to);
  }
  __device__ __forceinline__ void add(float x, int) {
    const float higher = fmaxf(peak, x);
    total = scaled(total, peak, higher) + (x == -INFINITY ? 0.0f : scaled(1.0f, x, higher));
    peak = higher;
  }
  __device__ __forceinline__ LogSumExp operator()(LogSumExp a, LogSumExp b) const {
    LogSumExp all;
    all.peak = fmaxf(a.peak, b.peak);
    all.total = scaled(a.total, a.peak, all.peak) + scaled(b.total, b.peak, all.peak);
    return all;
  }
  template <class Out>
  __device__ __forceinline__ void write(Out* y, Real*, Size at, float) const {
    y[at] = logf(total) + peak;
  }
};

// Count, mean, and the sum of squared distances from it (Welford; merged as Chan, Golub and LeVeque do).
struct Variance {
  float count = 0.0f, mean = 0.0f, squares = 0.0f;

  __device__ __forceinline__ void add(float x, int) {
    const float before = x - mean;
    count += 1.0f;
    mean += before / count;
    squares += before * (x - mean);
  }
  __device__ __forceinline__ Variance operator()(Variance a, Variance b) const {
    Variance all;
    all.count = a.count + b.count;
    if (all.count == 0.0f) return all;
    const float apart = b.mean - a.mean, share = b.count / all.count;
    all.mean = a.mean + apart * share;
    all.squares = a.squares + b.squares + apart * apart * a.count * share;
    return all;
  }
  __device__ __forceinline__ void write(Real* y, Real* means, Size at, float correction) const {
    y[at] = squares / fmaxf(0.0f, count - correction);
    means[at] = count > 0.0f ? mean : NAN;
  }
};

template <class Group, class State, class T>
__device__ __forceinline__ State reduce_row(const T* x, Size begin, Size end) {
  State state;
  for (Size i = begin + Group::rank(); i < end; i += Group::size()) state.add(x[i], static_cast<int>(i));
  return Group::merge(state, State(), State());
}

// Block (32, 8): `width` of the 32 results are there.
template <class State, class Second>
__device__ __forceinline__ void reduce_columns(Real* y, Second* second, const Real* x, float p, int n, Size inner) {
  __shared__ State parts[8][kWarp];
  const Size tiles = (inner + kWarp - 1) / kWarp, outer = blockIdx.x / tiles;
  const Size column = blockIdx.x % tiles * kWarp + threadIdx.x;
  State state;
  if (column < inner)
    for (int i = threadIdx.y; i < n; i += 8) state.add(x[(outer * n + i) * inner + column], i);
  parts[threadIdx.y][threadIdx.x] = state;
  __syncthreads();
  if (threadIdx.y > 0 || column >= inner) return;
  for (int i = 1; i < 8; ++i) state = state(state, parts[i][threadIdx.x]);
  state.write(y, second, outer * inner + column, p);
}

}  // namespace

#define REDUCTION(NAME, STATE, SECOND)                                                          \
  extern "C" __global__ void __launch_bounds__(128)                                             \
      NAME##_warp(Real* y, SECOND* second, const Real* x, float p, long long rows, int n) {     \
    const Size row = warp_row();                                                                \
    if (row >= rows) return;                                                                    \
    const STATE state = reduce_row<Warp, STATE>(x + row * n, 0, n);                             \
    if (Warp::rank() == 0) state.write(y, second, row, p);                                      \
  }                                                                                             \
  extern "C" __global__ void __launch_bounds__(256)                                             \
      NAME##_block(Real* y, SECOND* second, const Real* x, float p, int n) {                    \
    const STATE state = reduce_row<Block, STATE>(x + static_cast<Size>(blockIdx.x) * n, 0, n);  \
    if (threadIdx.x == 0) state.write(y, second, blockIdx.x, p);                                \
  }                                                                                             \
  extern "C" __global__ void __launch_bounds__(256)                                             \
      NAME##_columns(Real* y, SECOND* second, const Real* x, float p, int n, long long inner) { \
    reduce_columns<STATE>(y, second, x, p, n, inner);                                           \
  }

#define CHUNKED(NAME, STATE)                                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                             \
      NAME##_chunks(float* parts, const Real* x, long long n, int length) {                                     \
    const Size begin = static_cast<Size>(blockIdx.x) * length, end = begin + length < n ? begin + length : n;   \
    const STATE state = reduce_row<Block, STATE>(x, begin, end);                                                \
    if (threadIdx.x == 0) state.write(parts, nullptr, blockIdx.x, 1.0f);                                        \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) NAME##_total(Real* y, const float* parts, float p, int n) { \
    const STATE state = reduce_row<Block, STATE>(parts, 0, n);                                                  \
    if (threadIdx.x == 0) state.write(y, nullptr, 0, p);                                                        \
  }

REDUCTION(sum_forward, Sum, Real)
CHUNKED(sum_forward, Sum)
REDUCTION(mean_forward, Sum, Real)
CHUNKED(mean_forward, Sum)
REDUCTION(prod_forward, Product, Real)
CHUNKED(prod_forward, Product)
REDUCTION(max_forward, Largest, long long)
REDUCTION(min_forward, Smallest, long long)
REDUCTION(logsumexp_forward, LogSumExp, Real)
REDUCTION(var_forward, Variance, Real)

// dx_i = dy times the product of all others, the whole product divided by x_i. -------------------------------------

namespace {

// The product of what is not zero, and how many zeros there are; in double, so that few products are out of range.
struct Factors {
  double product = 1.0;
  int zeros = 0, unused = 0;

  __device__ __forceinline__ void add(float x) { x == 0.0f ? void(++zeros) : void(product *= x); }
  __device__ __forceinline__ Factors operator()(Factors a, Factors b) const {
    a.product *= b.product, a.zeros += b.zeros;
    return a;
  }
  // Whether it can be divided by each of its factors: not if it left the range, or one is inf or nan.
  __device__ __forceinline__ bool divisible() const { return fabs(product) >= 1e-300 && fabs(product) <= 1e300; }
  // dy times all factors but x.
  __device__ __forceinline__ float slope(float x, float dy) const {
    if (zeros > 0) return zeros == 1 && x == 0.0f ? static_cast<float>(product * dy) : 0.0f * dy;
    return static_cast<float>(product / x * dy);
  }
};

// One line where no division will do: the product of those before, then that of those behind.
__device__ __forceinline__ void spread_product(float* dx, float dy, const float* x, Size n, Size step) {
  double product = 1.0;
  for (Size i = 0; i < n; ++i) dx[i * step] = static_cast<float>(product), product *= x[i * step];
  product = 1.0;
  for (Size i = n - 1; i >= 0; --i) {
    dx[i * step] = static_cast<float>(dx[i * step] * product * dy);
    product *= x[i * step];
  }
}

}  // namespace

// inner = 1: a block for each row.
extern "C" __global__ void __launch_bounds__(256)
    prod_backward_rows(float* dx, const float* dy, const float* x, int n) {
  const Size row = blockIdx.x;
  dx += row * n, x += row * n;
  Factors all;
  for_columns<Block>(n, [&](int i) { all.add(x[i]); });
  all = Block::merge(all, Factors(), Factors());
  if (all.divisible())
    for_columns<Block>(n, [&](int i) { dx[i] = all.slope(x[i], dy[row]); });
  else if (threadIdx.x == 0)
    spread_product(dx, dy[row], x, n, 1);
}

// inner > 1: a thread for each of 256 neighbouring lines along n.
extern "C" __global__ void __launch_bounds__(256)
    prod_backward_lines(float* dx, const float* dy, const float* x, long long lines, int n, long long inner) {
  const Size line = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (line >= lines) return;
  const Size at = line / inner * n * inner + line % inner;
  Factors all;
  for (int i = 0; i < n; ++i) all.add(x[at + i * inner]);
  if (!all.divisible()) return spread_product(dx + at, dy[line], x + at, n, inner);
  for (int i = 0; i < n; ++i) dx[at + i * inner] = all.slope(x[at + i * inner], dy[line]);
}
