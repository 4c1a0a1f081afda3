// Reductions of x (outer, n, inner) over n into y (outer, inner): sum, mean, var, logsumexp, prod, max, min.
//
// Rows (inner == 1) run across lanes, columns (inner > 1) one column per lane. Sums are taken in float over short
// blocks and in double over the blocks; what is split between threads depends on the shape alone. Read total (the
// engine), then the kernels.

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd_double.h"
#include "cpu/simd_math.h"

namespace minigrad {
namespace {

using V = VFloat;
constexpr Size W = V::lanes;
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Shape {
  Size outer, n, inner;
};

template <class Y>
Shape check(const Y& y, const In<float>& x) {
  require(x.ndim == 3 && y.ndim == 2 && y.shape[0] == x.shape[0] && y.shape[1] == x.shape[2],
          "expected x of shape (outer, n, inner) and y of shape (outer, inner)");
  return {x.shape[0], x.shape[1], x.shape[2]};
}

// --- sums of f(x, parameter of the column or row) ---

constexpr Size kRowBlock = 128 * W, kColumnBlock = 64, kTile = 4 * W;

template <class F>
double sum_row(const float* x, Size n, float parameter, const F& f) {
  const V p(parameter);
  double total = 0;
  for (Size begin = 0; begin < n; begin += kRowBlock) {
    const Size end = std::min(n, begin + kRowBlock);
    V acc[4] = {V(0.0f), V(0.0f), V(0.0f), V(0.0f)};
    Size i = begin;
    for (; i + kTile <= end; i += kTile)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) acc[k] += f(V::load(x + i + k * W), p);
    for (; i + W <= end; i += W) acc[0] += f(V::load(x + i), p);
    if (i < end) acc[1].v = (acc[1] + keep_first(f(V::load(x + i, end - i), p), end - i)).v;
    total += sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  }
  return total;
}

// `columns` <= kTile neighbouring columns; out[c] += ...
template <class F>
void sum_columns(const float* x, Size n, Size stride, Size columns, const float* parameter, const F& f, double* out) {
  V p[4];
  Size lanes[4];
  const int vectors = static_cast<int>((columns + W - 1) / W);
  for (int k = 0; k < vectors; ++k) {
    lanes[k] = std::min(W, columns - k * W);
    p[k] = parameter ? V::load(parameter + k * W, lanes[k]) : V(0.0f);
  }
  for (Size begin = 0; begin < n; begin += kColumnBlock) {
    const Size end = std::min(n, begin + kColumnBlock);
    float block[kTile];
    if (columns == kTile) {
      V acc[4] = {V(0.0f), V(0.0f), V(0.0f), V(0.0f)};
      for (Size i = begin; i < end; ++i)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) acc[k] += f(V::load(x + i * stride + k * W), p[k]);
      for (int k = 0; k < 4; ++k) acc[k].store(block + k * W);
    } else {
      for (int k = 0; k < vectors; ++k) {
        V acc(0.0f);
        for (Size i = begin; i < end; ++i) acc += f(V::load(x + i * stride + k * W, lanes[k]), p[k]);
        acc.store(block + k * W);
      }
    }
    for (Size c = 0; c < columns; ++c) out[c] += block[c];
  }
}

// finish(o, c, sum over n of f(x[o, :, c], parameter[o, c])) for every output. `parameter` may be null.
template <class F, class Finish>
void total(Shape s, const float* x, const float* parameter, const F& f, const Finish& finish) {
  // A long n with few outputs is cut into blocks, each summed on its own, so that there is work for every thread.
  const Size tiles = s.inner == 1 ? 1 : (s.inner + kTile - 1) / kTile;
  const Size rows = s.outer * tiles >= 32 ? std::max<Size>(s.n, 1)
                                          : std::max<Size>(kColumnBlock, 2 * kStreamGrain / std::max<Size>(s.inner, 1));
  const Size blocks = std::max<Size>(1, (s.n + rows - 1) / rows);
  const Scratch<double> partial(s.outer * blocks * s.inner);
  const Size tasks = s.outer * blocks * tiles;
  const Size cost = std::min(rows, s.n) * std::min(s.inner, kTile);
  parallel_for(tasks, row_grain(cost), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size tile = task % tiles, block = task / tiles % blocks, o = task / tiles / blocks;
      const Size column = tile * kTile, first = block * rows, n = std::min(rows, s.n - first);
      const float* start = x + (o * s.n + first) * s.inner + column;
      double* out = partial.data() + (o * blocks + block) * s.inner + column;
      if (s.inner == 1) {
        *out = sum_row(start, n, parameter ? parameter[o] : 0.0f, f);
      } else {
        const Size columns = std::min(kTile, s.inner - column);
        std::fill_n(out, columns, 0.0);
        sum_columns(start, n, s.inner, columns, parameter ? parameter + o * s.inner + column : nullptr, f, out);
      }
    }
  });
  parallel_for(s.outer * s.inner, row_grain(blocks), [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i) {
      const Size o = i / s.inner, c = i % s.inner;
      double sum = 0;
      for (Size block = 0; block < blocks; ++block) sum += partial[(o * blocks + block) * s.inner + c];
      finish(i, sum);
    }
  });
}

// --- extremes ---

struct Greater {
  static constexpr float worst = -kInf;
  static V pick(V a, V b) { return max(a, b); }
  static auto better(V a, V b) { return a > b; }
  static bool better(float a, float b) { return a > b; }
};
struct Less {
  static constexpr float worst = kInf;
  static V pick(V a, V b) { return min(a, b); }
  static auto better(V a, V b) { return a < b; }
  static bool better(float a, float b) { return a < b; }
};

constexpr Size kExtremeBlock = 32 * kTile;

// The extreme of a few numbers and whether there is a NaN among them.
template <class Order>
float extreme_block(const float* x, Size n, bool& has_nan) {
  V best[4] = {V(Order::worst), V(Order::worst), V(Order::worst), V(Order::worst)};
  VInt nan(0);
  Size i = 0;
  for (; i + kTile <= n; i += kTile)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const V v = V::load(x + i + k * W);
      best[k] = Order::pick(v, best[k]);  // in this order a NaN is passed over
      nan = nan | is_nan(v);
    }
  const V both = Order::pick(Order::pick(best[0], best[1]), Order::pick(best[2], best[3]));
  float value = i ? fold(both, [](float a, float b) { return Order::better(a, b) ? a : b; }) : Order::worst;
  has_nan = i && any(nan);
  for (; i < n; ++i) {
    has_nan = has_nan || x[i] != x[i];
    if (Order::better(x[i], value)) value = x[i];
  }
  return value;
}

// The first index in begin..n where `is` holds, for one lane or for many.
template <class Is>
Size find_first(const float* x, Size begin, Size n, const Is& is) {
  while (begin + W <= n && !any(is(V::load(x + begin)))) begin += W;
  while (begin < n && !is(Simd<float, 1>(x[begin])).v) ++begin;
  return begin;
}

// The first index of the extreme of a row; the first NaN wins.
template <class Order>
Size extreme_row(const float* x, Size n) {
  float best = Order::worst;
  Size at = 0;  // of the first block that holds it
  for (Size begin = 0; begin < n; begin += kExtremeBlock) {
    bool has_nan = false;
    const float value = extreme_block<Order>(x + begin, std::min(kExtremeBlock, n - begin), has_nan);
    if (has_nan) return find_first(x, begin, n, [](auto v) { return is_nan(v); });
    if (Order::better(value, best)) best = value, at = begin;
  }
  return find_first(x, at, n, [best](auto v) { return v == decltype(v)(best); });
}

template <class Order>
void extreme_columns(const float* x, Size n, Size stride, Size columns, float* y, int64_t* index) {
  V best = V::load(x, columns);
  VInt at(0);
  for (Size i = 1; i < n; ++i) {
    const V v = V::load(x + i * stride, columns);
    const VInt wins = (Order::better(v, best) | is_nan(v)) & (best == best);
    best = select(wins, v, best);
    at = select(wins, VInt(static_cast<int32_t>(i)), at);
  }
  best.store(y, columns);
  for (Size c = 0; c < columns; ++c) index[c] = at[static_cast<int>(c)];
}

template <class Order>
void extreme(Out<float> y, Out<int64_t> index, In<float> x) {
  const Shape s = check(y, x);
  check(index, x);
  require(s.n > 0 || y.size == 0, "cannot take the extreme of an empty dimension");
  require(s.n <= INT32_MAX || s.inner == 1, "more than 2^31 rows");
  const Size tiles = s.inner == 1 ? 1 : (s.inner + W - 1) / W;
  parallel_for(y.size ? s.outer * tiles : 0, row_grain(s.n * std::min(s.inner, W)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size o = task / tiles, column = task % tiles * W, at = o * s.inner + column;
      const float* start = x.data + o * s.n * s.inner + column;
      if (s.inner == 1) {
        index.data[at] = extreme_row<Order>(start, s.n);
        y.data[at] = start[index.data[at]];
      } else {
        extreme_columns<Order>(start, s.n, s.inner, std::min(W, s.inner - column), y.data + at, index.data + at);
      }
    }
  });
}

// --- products, in double throughout ---

double product_of_row(const float* x, Size n) {
  VDouble lanes[4] = {VDouble(1.0), VDouble(1.0), VDouble(1.0), VDouble(1.0)};
  Size i = 0;
  for (; i + kTile <= n; i += kTile)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) lanes[k] = lanes[k] * widened(V::load(x + i + k * W));
  double lane[W], product = 1;
  ((lanes[0] * lanes[1]) * (lanes[2] * lanes[3])).store(lane);
  for (; i < n; ++i) product *= x[i];
  for (Size k = 0; k < W; ++k) product *= lane[k];
  return product;
}

// `columns` <= kTile neighbouring columns.
void product_of_columns(double* y, const float* x, Size n, Size stride, Size columns) {
  VDouble lanes[4] = {VDouble(1.0), VDouble(1.0), VDouble(1.0), VDouble(1.0)};
  if (columns == kTile)
    for (Size i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) lanes[k] = lanes[k] * widened(V::load(x + i * stride + k * W));
  else
    for (Size c = 0, k = 0; c < columns; c += W, ++k)
      for (Size i = 0; i < n; ++i) lanes[k] = lanes[k] * widened(V::load(x + i * stride + c, std::min(W, columns - c)));
  for (int k = 0; k < 4; ++k) lanes[k].store(y + k * W);
}

// f(first element, columns) for every row, or tile of columns, of all matrices.
template <class F>
void for_tiles(Shape s, const F& f) {
  const Size tiles = (s.inner + kTile - 1) / kTile;
  parallel_for(s.outer * tiles, row_grain(s.n * std::min(s.inner, kTile)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task)
      f(task / tiles, task % tiles * kTile, std::min(kTile, s.inner - task % tiles * kTile));
  });
}

// The product of a row, or those of a tile of columns.
void products(Shape s, const float* x, Size columns, double* y) {
  if (s.inner == 1)
    *y = product_of_row(x, s.n);
  else
    product_of_columns(y, x, s.n, s.inner, columns);
}

// y_i = whole(i) / x_i
template <class F>
void quotients(float* y, const float* x, Size n, const F& whole) {
  for (Size i = 0; i < n; i += W) {
    const Size count = std::min(W, n - i);
    const V q = narrowed<W>(whole(i) / widened(V::load(x + i, count)));
    count == W ? q.store(y + i) : q.store(y + i, count);
  }
}

// Whether x_i can be divided out of the product: it neither vanished nor overflowed, and is no NaN.
bool divisible(double product) { return std::abs(product) > 1e-290 && std::abs(product) < 1e290; }

// dx_i = dy times the numbers before x_i and those behind: right for zeros too.
void spread_product(float* dx, double dy, const float* x, Size n, Size stride) {
  const Scratch<double> before(n);
  double product = 1;
  for (Size i = 0; i < n; ++i) before[i] = product, product *= x[i * stride];
  for (Size i = n; i-- > 0; dy *= x[i * stride]) dx[i * stride] = static_cast<float>(before[i] * dy);
}

// A lambda, since a function would be called through a pointer.
constexpr auto identity = [](V x, V) { return x; };

}  // namespace

void sum_forward(Out<float> y, In<float> x) {
  total(check(y, x), x.data, nullptr, identity, [&](Size i, double sum) { y.data[i] = static_cast<float>(sum); });
}

void mean_forward(Out<float> y, In<float> x) {
  const Shape s = check(y, x);
  total(s, x.data, nullptr, identity, [&](Size i, double sum) { y.data[i] = static_cast<float>(sum / s.n); });
}

// Two passes: the mean first, then the squares of what is left.
void var_forward(Out<float> y, Out<float> mean, In<float> x, double correction) {
  const Shape s = check(y, x);
  check(mean, x);
  mean_forward(mean, x);
  const double divisor = std::max(0.0, static_cast<double>(s.n) - correction);
  const auto square = [](V x, V mean) { return (x - mean) * (x - mean); };
  total(s, x.data, mean.data, square, [&](Size i, double sum) { y.data[i] = static_cast<float>(sum / divisor); });
}

// log sum e^(x - m) + m with m the maximum, or 0 where the maximum is infinite.
void logsumexp_forward(Out<float> y, In<float> x) {
  const Shape s = check(y, x);
  const Scratch<float> shift(y.size);
  const Scratch<int64_t> index(y.size);
  if (s.n > 0) {
    Out<float> peak;
    Out<int64_t> at;
    peak.data = shift.data(), at.data = index.data();
    peak.ndim = at.ndim = y.ndim, peak.shape = at.shape = y.shape, peak.size = at.size = y.size;
    max_forward(peak, at, x);
  }
  for (Size i = 0; i < y.size; ++i)
    if (s.n == 0 || std::isinf(shift[i])) shift[i] = 0.0f;
  const auto term = [](V x, V m) { return exp(x - m); };
  total(s, x.data, shift.data(), term,
        [&](Size i, double sum) { y.data[i] = static_cast<float>(std::log(sum) + shift[i]); });
}

void prod_forward(Out<float> y, In<float> x) {
  const Shape s = check(y, x);
  for_tiles(s, [&](Size o, Size column, Size columns) {
    double product[kTile];
    products(s, x.data + o * s.n * s.inner + column, columns, product);
    for (Size c = 0; c < columns; ++c) y.data[o * s.inner + column + c] = static_cast<float>(product[c]);
  });
}

// dx = dy y / x in double, but where y cannot be divided.
void prod_backward(Out<float> dx, In<float> dy, In<float> x) {
  const Shape s = check(dy, x);
  require_same_shape(dx, x, "dx and x");
  for_tiles(s, [&](Size o, Size column, Size columns) {
    const Size at = o * s.n * s.inner + column;
    const float *start = x.data + at, *slope = dy.data + o * s.inner + column;
    double product[kTile], whole[kTile];
    products(s, start, columns, product);
    for (Size c = 0; c < kTile; ++c) whole[c] = c < columns ? product[c] * slope[c] : 0.0;
    if (s.inner == 1) quotients(dx.data + at, start, s.n, [&](Size) { return VDouble(whole[0]); });
    for (Size i = 0; s.inner > 1 && i < s.n; ++i)
      quotients(dx.data + at + i * s.inner, start + i * s.inner, columns,
                [&](Size c) { return VDouble::load(whole + c); });
    for (Size c = 0; c < columns; ++c)
      if (!divisible(product[c])) spread_product(dx.data + at + c, slope[c], start + c, s.n, s.inner);
  });
}

void max_forward(Out<float> y, Out<int64_t> index, In<float> x) { extreme<Greater>(y, index, x); }
void min_forward(Out<float> y, Out<int64_t> index, In<float> x) { extreme<Less>(y, index, x); }

}  // namespace minigrad
