// map(f, y, x...): y = f(x...) element by element, over any strides and broadcasts.
//
// f takes and returns Simd lanes; a bool array is a mask to it. Read from the end: the door, then Plan (shapes), then
// loop (lanes).
#pragma once

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cpu/array.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/turn.h"

namespace minigrad {
namespace elementwise {

// --- lanes: how one operand of one row is read or written ---

constexpr int W = VFloat::lanes;

// bool lanes are widened to the mask type of float lanes on the way in, and narrowed on the way out.
template <class T>
struct Lanes {
  using Type = Simd<T, W>;
  static Type widen(Type x) { return x; }
};
template <>
struct Lanes<uint8_t> {
  using Type = Simd<uint8_t, W>;
  static VInt widen(Type x) { return mask_of(x); }
};

inline VFloat narrow(VFloat x) { return x; }
inline Simd<uint8_t, W> narrow(VInt mask) { return bytes_of(mask); }

template <class T>
struct Contiguous {
  T* p;
  auto load(Size i) const { return Lanes<std::remove_const_t<T>>::widen(Simd<std::remove_const_t<T>, W>::load(p + i)); }
  auto load(Size i, Size n) const {
    return Lanes<std::remove_const_t<T>>::widen(Simd<std::remove_const_t<T>, W>::load(p + i, n));
  }
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

// The loops over a row for one function, by how the operands lie. The function's type is forgotten here, so that all
// that stands around the loops is compiled once per signature.
template <class Y, class... X>
struct Loops {
  using Pointers = std::tuple<const X*...>;
  using Body = void (*)(const void* f, Size n, Y* y, const Pointers& x, const Size* step);
  static constexpr int inputs = int(sizeof...(X));
  const void* f;
  Body strided, dense, number[inputs];  // any steps; all run on; all do but input i, one number for the whole row

  Body choose(const Size* step) const {
    int running = 0, number_at = 0;
    for (int i = 0; i < inputs; ++i) {
      running += step[i + 1] == 1;
      if (step[i + 1] == 0) number_at = i;
    }
    if (step[0] != 1 || running < inputs - 1) return strided;
    if (running == inputs) return dense;
    return step[number_at + 1] == 0 ? number[number_at] : strided;
  }
};

template <class F, class Y, class... X>
struct Row {
  using Pointers = std::tuple<const X*...>;

  template <int S, int I, class T>
  static auto operand(T* p) {
    using U = std::remove_const_t<T>;
    if constexpr (S == I)
      return Splat<T>{Lanes<U>::widen(Simd<U, W>(*p))};
    else
      return Contiguous<T>{p};
  }

  // All run on but input S; S = -1 for none.
  template <int S, std::size_t... I>
  static void dense(const void* f, Size n, Y* y, const Pointers& x, const Size*) {
    loop(n, *static_cast<const F*>(f), Contiguous<Y>{y}, operand<S, int(I)>(std::get<I>(x))...);
  }

  template <std::size_t... I>
  static void strided(const void* f, Size n, Y* y, const Pointers& x, const Size* step) {
    loop(n, *static_cast<const F*>(f), Strided<Y>{y, step[0]}, Strided<const X>{std::get<I>(x), step[I + 1]}...);
  }

  template <int S, std::size_t... I>
  static constexpr typename Loops<Y, X...>::Body with_number() {
    if constexpr (sizeof...(X) > 1)
      return &dense<S, I...>;
    else
      return &strided<I...>;  // the broadcast of a single number is too rare for a loop of its own
  }

  template <std::size_t... I>
  static Loops<Y, X...> loops(const F& f, std::index_sequence<I...>) {
    return {&f, &strided<I...>, &dense<-1, I...>, {with_number<int(I), I...>()...}};
  }
};

// --- shapes ---

constexpr int kMaxDims = 64;

// Shape of the output and element steps of every operand (0 where it is broadcast), with size-1 dimensions dropped and
// neighbours that run on merged. Operand 0 is the output.
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
    throw std::invalid_argument("shape " + shape_text(x.shape, x.ndim) + " does not broadcast to " +
                                shape_text(y.shape, y.ndim));
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

// True where writing y could change x before it is read: they share memory and are not the very same elements in the
// same order.
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

// --- rows ---

// Walks the rows of a plan: `offset` of each operand at the present place.
template <int K>
struct Odometer {
  const Plan<K>& plan;
  Size index[kMaxDims];
  Size offset[K] = {};

  Odometer(const Plan<K>& plan, Size place) : plan(plan) {
    for (int d = plan.ndim - 1; d >= 0; place /= plan.shape[d--]) {
      index[d] = place % plan.shape[d];
      for (int k = 0; k < K; ++k) offset[k] += index[d] * plan.step[d][k];
    }
  }

  // Goes on by n elements, to the end of the row or less.
  void advance(Size n) {
    int d = plan.ndim - 1;
    for (;; n = 1, --d) {
      index[d] += n;
      for (int k = 0; k < K; ++k) offset[k] += n * plan.step[d][k];
      if (index[d] < plan.shape[d] || d == 0) return;
      index[d] = 0;
      for (int k = 0; k < K; ++k) offset[k] -= plan.shape[d] * plan.step[d][k];
    }
  }
};

// Elements begin..end of the flat index space, row by row.
template <class Y, class... X, std::size_t... I>
void run_range(const Plan<sizeof...(X) + 1>& plan, const Loops<Y, X...>& loops, Size begin, Size end, Y* y,
               const std::tuple<const X*...>& x, std::index_sequence<I...>) {
  const int last = plan.ndim - 1;
  const auto body = loops.choose(plan.step[last]);
  for (Odometer<sizeof...(X) + 1> at(plan, begin); begin < end;) {
    const Size n = std::min(plan.shape[last] - at.index[last], end - begin);
    const std::tuple<const X*...> here(std::get<I>(x) + at.offset[I + 1]...);
    body(loops.f, n, y + at.offset[0], here, plan.step[last]);
    at.advance(n);
    begin += n;
  }
}

template <class Y, class... X>
void run_apart(const Loops<Y, X...>& loops, OutView<Y> y, const InView<X>&... x) {
  const Plan<sizeof...(X) + 1> plan(y, x...);
  const std::tuple<const X*...> pointers(x.pointer()...);
  parallel_for(plan.total, kStreamGrain, [&](Size begin, Size end) {
    run_range(plan, loops, begin, end, y.data, pointers, std::index_sequence_for<X...>{});
  });
}

// --- copies ---

constexpr Size kSquare = 64;  // both sides of a square stay in the first-level cache while it is turned

// y runs along its last dimension, x along another one: go by squares of the two. False if that is not how they lie.
inline bool copy_transposed(const Plan<2>& plan, float* y, const float* x) {
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
        copy_turned(y + to + col, y_step, x + from + col * x_step, x_step, std::min(kSquare, rows - row),
                    std::min(kSquare, cols - col));
    }
  });
  return true;
}

// y = x where they share no memory.
template <class T>
void copy_apart(OutView<T> y, InView<T> x) {
  if constexpr (std::is_same_v<T, float>)
    if (x.data && copy_transposed(Plan<2>(y, x), y.data, x.data)) return;
  const auto same = [](auto lanes) { return lanes; };
  run_apart(Row<decltype(same), T, T>::loops(same, std::index_sequence<0>{}), y, x);
}

// Whether x runs along another dimension than y does: then every lane would lie in a line of the cache of its own.
template <class Y, class X>
bool lies_across(const Y& y, const X& x) {
  const int last = x.ndim - 1;
  if (y.size < 4096 || x.ndim < 2 || !same_shape(y, x)) return false;
  const Size item = sizeof(*x.data);
  bool runs = false;
  for (int d = 0; d < last; ++d) runs = runs || (x.strides[d] == item && x.shape[d] > 1);
  return runs && x.strides[last] != item && y.strides[last] == Size(sizeof(*y.data));
}

// An input that overlaps the output is copied first, as numpy does; so is one that lies across.
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
    copy_apart(out, x);
  }
  InView<T> view;

 private:
  Scratch<T> buffer_;
  Size strides_[kMaxDims];
};

// --- the door ---

template <class Y, class X>
bool needs_copy(const Y& y, const X& x) {
  return clashes(y, x) || lies_across(y, x);
}

template <class Y, class... X>
void run(const Loops<Y, X...>& loops, OutView<Y> y, const InView<X>&... x) {
  (require_broadcast(y, x), ...);
  if ((needs_copy(y, x) || ...)) return run_apart(loops, y, Copied<X>(x, needs_copy(y, x)).view...);
  run_apart(loops, y, x...);
}

// y = f(x...) element by element; inputs broadcast to y.
template <class F, class Y, class... X>
void map(const F& f, OutView<Y> y, InView<X>... x) {
  run(Row<F, Y, X...>::loops(f, std::index_sequence_for<X...>{}), y, x...);
}

}  // namespace elementwise

using elementwise::map;

}  // namespace minigrad
