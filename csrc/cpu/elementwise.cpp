// Elementwise kernels: the loops behind the table of elementwise.h. Read map (the door), then Plan (shapes), then loop (lanes).

#include "cpu/elementwise.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd_math.h"

namespace minigrad {
namespace {

using V = VFloat;

// --- lanes: how one operand of one row is read or written --------------------------------------------------------------------

constexpr int W = V::lanes;

// bool lanes are widened to the mask type of float lanes on the way in, and narrowed on the way out.
template <class T>
struct Lanes {
  using Type = Simd<T, W>;
  static Type widen(Type x) { return x; }
};
template <>
struct Lanes<uint8_t> {
  using Type = Simd<uint8_t, W>;
  static VInt widen(Type x) { return convert<int32_t>(x) != VInt(0); }
};

inline V narrow(V x) { return x; }
inline Simd<uint8_t, W> narrow(VInt mask) { return convert<uint8_t>(mask & VInt(1)); }

template <class T>
struct Contiguous {
  T* p;
  auto load(Size i) const { return Lanes<std::remove_const_t<T>>::widen(Simd<std::remove_const_t<T>, W>::load(p + i)); }
  auto load(Size i, Size n) const { return Lanes<std::remove_const_t<T>>::widen(Simd<std::remove_const_t<T>, W>::load(p + i, n)); }
  template <class X>
  void store(Size i, X x) const {
    narrow(x).store(p + i);
  }
  template <class X>
  void store(Size i, X x, Size n) const {
    narrow(x).store(p + i, n);
  }
};

template <class T>
struct Splat {
  using U = std::remove_const_t<T>;
  decltype(Lanes<U>::widen(Simd<U, W>())) x;
  auto load(Size, Size = W) const { return x; }
};

template <class T>
struct Strided {
  using U = std::remove_const_t<T>;
  T* p;
  Size step;
  auto load(Size i, Size n = W) const {
    U lane[W] = {};
    for (Size j = 0; j < n; ++j) lane[j] = p[(i + j) * step];
    return Lanes<U>::widen(Simd<U, W>::load(lane));
  }
  template <class X>
  void store(Size i, X x, Size n = W) const {
    U lane[W];
    narrow(x).store(lane);
    for (Size j = 0; j < n; ++j) p[(i + j) * step] = lane[j];
  }
};

template <class F, class Y, class... X>
void loop(Size n, const F& f, Y y, X... x) {
  Size i = 0;
  for (; i + W <= n; i += W) y.store(i, f(x.load(i)...));
  if (i < n) y.store(i, f(x.load(i, n - i)...), n - i);
}

// One row: pointers and element steps of y and the inputs.
template <class F, class Y, class... X>
struct Row {
  template <class T>
  static Splat<T> splat(T* p) {
    return {Lanes<std::remove_const_t<T>>::widen(Simd<std::remove_const_t<T>, W>(*p))};
  }

  template <int S, int I, class T>
  static auto operand(T* p) {
    if constexpr (S == I)
      return splat(p);
    else
      return Contiguous<T>{p};
  }

  // All contiguous but input S, one number for the whole row; S = -1 for none.
  template <int S, std::size_t... I>
  static void dense(const F& f, Size n, Y* y, std::tuple<const X*...> x, const Size*, std::index_sequence<I...>) {
    loop(n, f, Contiguous<Y>{y}, operand<S, int(I)>(std::get<I>(x))...);
  }

  template <std::size_t... I>
  static void strided(const F& f, Size n, Y* y, std::tuple<const X*...> x, const Size* step, std::index_sequence<I...>) {
    loop(n, f, Strided<Y>{y, step[0]}, Strided<const X>{std::get<I>(x), step[I + 1]}...);
  }

  using Body = void (*)(const F&, Size, Y*, std::tuple<const X*...>, const Size*, std::index_sequence_for<X...>);

  template <std::size_t... I>
  static Body choose(const Size* step, std::index_sequence<I...> inputs) {
    int ones = 0, at = -1;
    for (int i = 1; i <= int(sizeof...(X)); ++i) step[i] == 1 ? ++ones : step[i] == 0 && (at = i - 1);
    if (step[0] != 1) return &strided;
    if (ones == sizeof...(X)) return &dense<-1, I...>;
    Body body = &strided;
    if constexpr (sizeof...(X) > 1)
      if (ones + 1 == sizeof...(X) && at >= 0) (void)((int(I) == at && (body = &dense<int(I), I...>)) || ...);
    (void)inputs;
    return body;
  }
};

// --- shapes ------------------------------------------------------------------------------------------------------------------

constexpr int kMaxDims = 64;

// Shape of the output and element steps of every operand (0 where it is broadcast), with size-1 dimensions dropped and neighbours
// that run on merged. Operand 0 is the output.
template <int K>
struct Plan {
  int ndim = 0;
  Size total = 1;
  Size shape[kMaxDims];
  Size step[kMaxDims][K];

  template <class... A>
  explicit Plan(const A&... operands) {
    const auto& y = first(operands...);
    total = y.size;
    if ((operands_match(y, operands) && ...)) {
      one_row();
      return;
    }
    for (int d = 0; d < y.ndim; ++d) {
      if (y.shape[d] == 1) continue;
      int k = 0;
      shape[ndim] = y.shape[d];
      ((step[ndim][k++] = step_of(operands, y, d)), ...);
      push();
    }
    if (ndim == 0) one_row();
  }

 private:
  template <class Y, class... X>
  static const Y& first(const Y& y, const X&...) {
    return y;
  }

  template <class Y, class A>
  static bool operands_match(const Y& y, const A& a) {
    return a.contiguous && same_shape(y, a) && a.data;
  }

  void one_row() {
    ndim = 1;
    shape[0] = total;
    for (int k = 0; k < K; ++k) step[0][k] = 1;
  }

  template <class A, class Y>
  static Size step_of(const A& a, const Y& y, int d) {
    const int own = d - (y.ndim - a.ndim);
    return own < 0 || a.shape[own] == 1 ? 0 : a.strides[own] / Size(sizeof(*a.data));
  }

  // Takes dimension `ndim` in, or lets it run on from the one before.
  void push() {
    const int d = ndim++;
    if (d == 0) return;
    for (int k = 0; k < K; ++k)
      if (step[d - 1][k] != step[d][k] * shape[d]) return;
    shape[d - 1] *= shape[d];
    for (int k = 0; k < K; ++k) step[d - 1][k] = step[d][k];
    --ndim;
  }
};

template <class Y, class X>
void require_broadcast(const Y& y, const X& x) {
  bool fits = x.ndim <= y.ndim;
  for (int d = 0; fits && d < x.ndim; ++d) {
    const Size own = x.shape[x.ndim - 1 - d];
    fits = own == 1 || own == y.shape[y.ndim - 1 - d];
  }
  if (!fits)
    throw std::invalid_argument("shape " + shape_text(x.shape, x.ndim) + " does not broadcast to " + shape_text(y.shape, y.ndim));
}

struct Extent {
  const char *begin, *end;
};

template <class A>
Extent extent(const A& a) {
  Extent e{reinterpret_cast<const char*>(a.data), reinterpret_cast<const char*>(a.data + 1)};
  for (int d = 0; d < a.ndim; ++d) (a.strides[d] < 0 ? e.begin : e.end) += a.strides[d] * (a.shape[d] - 1);
  return e;
}

// True where writing y could change x before it is read: they share memory and are not the very same elements in the same order.
template <class Y, class X>
bool clashes(const Y& y, const X& x) {
  if (!x.data || y.size == 0) return false;
  const Extent a = extent(y), b = extent(x);
  if (a.end <= b.begin || b.end <= a.begin) return false;
  if (static_cast<const void*>(y.data) != static_cast<const void*>(x.data) || !same_shape(y, x)) return true;
  for (int d = 0; d < y.ndim; ++d)
    if (y.shape[d] > 1 && y.strides[d] != x.strides[d]) return true;
  return false;
}

// --- the door ----------------------------------------------------------------------------------------------------------------

// Elements begin..end of the flat index space, row by row.
template <class F, class Y, class... X, std::size_t... I>
void run_range(const Plan<sizeof...(X) + 1>& plan, Size begin, Size end, const F& f, Y* y, std::tuple<const X*...> x,
               std::index_sequence<I...> inputs) {
  const int last = plan.ndim - 1;
  const Size width = plan.shape[last];
  const Size* step = plan.step[last];
  const auto body = Row<F, Y, X...>::choose(step, inputs);
  while (begin < end) {
    const Size column = begin % width, n = std::min(width - column, end - begin);
    Size offset[sizeof...(X) + 1];
    for (std::size_t k = 0; k <= sizeof...(X); ++k) offset[k] = column * step[k];
    for (Size rest = begin / width, d = last - 1; d >= 0; rest /= plan.shape[d--])
      for (std::size_t k = 0; k <= sizeof...(X); ++k) offset[k] += rest % plan.shape[d] * plan.step[d][k];
    body(f, n, y + offset[0], std::tuple<const X*...>(std::get<I>(x) + offset[I + 1]...), step, inputs);
    begin += n;
  }
}

template <class F, class Y, class... X>
void map_apart(const F& f, OutView<Y> y, InView<X>... x) {
  const Plan<sizeof...(X) + 1> plan(y, x...);
  const std::tuple<const X*...> pointers(x.pointer()...);
  parallel_for(plan.total, kStreamGrain, [&](Size begin, Size end) {
    run_range<F, Y, X...>(plan, begin, end, f, y.data, pointers, std::index_sequence_for<X...>{});
  });
}

// An input that overlaps the output is copied first, as numpy does.
template <class T>
class Copied {
 public:
  Copied(InView<T> x, bool needed) : view(x), buffer_(needed ? x.size : 0) {
    if (!needed) return;
    Size run = sizeof(T);
    for (int d = x.ndim - 1; d >= 0; run *= x.shape[d--]) strides_[d] = run;
    view.data = buffer_.data(), view.strides = strides_, view.contiguous = true;
    OutView<T> out;
    out.data = buffer_.data(), out.ndim = x.ndim, out.shape = x.shape, out.size = x.size, out.strides = strides_;
    map_apart([](auto lanes) { return lanes; }, out, x);
  }
  InView<T> view;

 private:
  Scratch<T> buffer_;
  Size strides_[kMaxDims];
};

// y = f(x...) element by element; inputs broadcast to y.
template <class F, class Y, class... X>
void map(const F& f, OutView<Y> y, InView<X>... x) {
  (require_broadcast(y, x), ...);
  if ((clashes(y, x) || ...)) return map_apart(f, y, Copied<X>(x, clashes(y, x)).view...);
  map_apart(f, y, x...);
}

// --- formulas ----------------------------------------------------------------------------------------------------------------

V relu(V x) { return select(x < V(0.0f), V(0.0f), x); }  // NaN passes
V sign(V x) { return select(x > V(0.0f), V(1.0f), select(x < V(0.0f), V(-1.0f), select(x == V(0.0f), V(0.0f), x))); }

// NaN in either operand wins, as in numpy.
V maximum(V a, V b) { return select(is_nan(a), a, max(a, b)); }
V minimum(V a, V b) { return select(is_nan(a), a, min(a, b)); }

// x Phi(x)
V gelu(V x) { return V(0.5f) * x * (V(1.0f) + erf(x * V(0.70710678f))); }
V gelu_slope(V x) {
  const V cdf = V(0.5f) * (V(1.0f) + erf(x * V(0.70710678f)));
  return fma(x * V(0.39894228f), exp(V(-0.5f) * x * x), cdf);
}

// x (1 + tanh(u)) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3)
V gelu_inner(V x) { return V(0.79788456f) * x * fma(V(0.044715f) * x, x, V(1.0f)); }
V gelu_tanh(V x) { return V(0.5f) * x * (V(1.0f) + tanh(gelu_inner(x))); }
V gelu_tanh_slope(V x) {
  const V t = tanh(gelu_inner(x));
  const V du = V(0.79788456f) * fma(V(3 * 0.044715f) * x, x, V(1.0f));
  return V(0.5f) * (V(1.0f) + t) + V(0.5f) * x * (V(1.0f) - t * t) * du;
}

// x^e for the exponents that need no logarithm; false for the others.
template <class Y, class... X, class Finish>
bool small_power(float e, Finish finish, OutView<Y> y, InView<X>... x) {
  const auto run = [&](auto power) { return map(finish(power), y, x...), true; };
  if (e == 0.0f) return run([](V) { return V(1.0f); });
  if (e == 1.0f) return run([](V x) { return x; });
  if (e == 2.0f) return run([](V x) { return x * x; });
  if (e == 3.0f) return run([](V x) { return x * x * x; });
  if (e == -1.0f) return run([](V x) { return V(1.0f) / x; });
  if (e == -2.0f) return run([](V x) { return V(1.0f) / (x * x); });
  return false;
}

// --- copies that turn rows into columns --------------------------------------------------------------------------------------

constexpr Size kSquare = 64;  // both sides of a square stay in the first-level cache while it is turned

// y runs along its last dimension, x along another one: go by squares of the two. False if that is not how they lie.
bool copy_transposed(const Plan<2>& plan, float* y, const float* x) {
  const int last = plan.ndim - 1;
  int along = last;
  for (int d = 0; d < last; ++d)
    if (plan.step[d][1] == 1) along = d;
  if (along == last || plan.step[last][0] != 1 || plan.step[last][1] == 0 || plan.total == 0) return false;
  const Size rows = plan.shape[along], cols = plan.shape[last], bands = (rows + kSquare - 1) / kSquare;
  const Size y_step = plan.step[along][0], x_step = plan.step[last][1];
  parallel_for(plan.total / (rows * cols) * bands, row_grain(kSquare * cols), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size row = task % bands * kSquare;
      Size to = row * y_step, from = row;
      for (Size rest = task / bands, d = last - 1; d >= 0; --d) {
        if (d == along) continue;
        to += rest % plan.shape[d] * plan.step[d][0], from += rest % plan.shape[d] * plan.step[d][1];
        rest /= plan.shape[d];
      }
      for (Size col = 0; col < cols; col += kSquare)
        copy_turned(y + to + col, y_step, x + from + col * x_step, x_step, std::min(kSquare, rows - row), std::min(kSquare, cols - col));
    }
  });
  return true;
}

}  // namespace

#define DEFINE_UNARY(name, formula) \
  void name(OutView<float> y, InView<float> x) { map([](V x) { return formula; }, y, x); }
#define DEFINE_BACKWARD(name, formula) \
  void name(OutView<float> dx, InView<float> dy, InView<float> s) { map([](V dy, V s) { return formula; }, dx, dy, s); }
#define DEFINE_BINARY(name, formula) \
  void name(OutView<float> y, InView<float> a, InView<float> b) { map([](V a, V b) { return formula; }, y, a, b); }
#define DEFINE_COMPARE(name, formula) \
  void name(OutView<uint8_t> y, InView<float> a, InView<float> b) { map([](V a, V b) { return formula; }, y, a, b); }
MINIGRAD_ELEMENTWISE(DEFINE_UNARY, DEFINE_BACKWARD, DEFINE_BINARY, DEFINE_COMPARE)

void copy_forward(OutView<float> y, InView<float> x) {
  require_broadcast(y, x);
  const bool apart = x.data && !clashes(y, x);
  if (!apart || !copy_transposed(Plan<2>(y, x), y.data, x.data)) map([](V x) { return x; }, y, x);
}

void axpy_forward(OutView<float> y, InView<float> x, float alpha) {
  InView<float> old;
  static_cast<View<const float>&>(old) = {{y.data, y.ndim, y.shape, y.size}, y.strides, y.contiguous};
  map([alpha](V y, V x) { return fma(V(alpha), x, y); }, y, old, x);
}

void clamp_forward(OutView<float> y, InView<float> x, float lo, float hi) {
  map([=](V x) { return min(V(hi), max(V(lo), x)); }, y, x);  // NaN in x is the second operand, and passes
}

void clamp_backward(OutView<float> dx, InView<float> dy, InView<float> x, float lo, float hi) {
  map([=](V dy, V x) { return select((x >= V(lo)) & (x <= V(hi)), dy, V(0.0f)); }, dx, dy, x);
}

void pow_scalar_forward(OutView<float> y, InView<float> x, float exponent) {
  const auto finish = [](auto power) { return power; };
  if (!small_power(exponent, finish, y, x)) map([=](V x) { return pow(x, V(exponent)); }, y, x);
}

void pow_scalar_backward(OutView<float> dx, InView<float> dy, InView<float> x, float exponent) {
  if (exponent == 0.0f) return map([](V, V) { return V(0.0f); }, dx, dy, x);
  const auto finish = [=](auto power) { return [=](V dy, V x) { return dy * (V(exponent) * power(x)); }; };
  if (small_power(exponent - 1.0f, finish, dx, dy, x)) return;
  map(finish([=](V x) { return pow(x, V(exponent - 1.0f)); }), dx, dy, x);
}

void where_forward(OutView<float> y, InView<uint8_t> mask, InView<float> a, InView<float> b) {
  map([](VInt mask, V a, V b) { return select(mask, a, b); }, y, mask, a, b);
}

}  // namespace minigrad
