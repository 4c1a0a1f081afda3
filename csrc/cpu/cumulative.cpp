// Running sums and products of x (outer, n, inner) along n, and the recurrence h_i = a_i h_i-1 + b_i; and what their
// gradients need: the same from the other end. All are carried in double.
//
// A lane has a row or a column of its own. Rows (inner == 1) are turned in registers, a square of kLanes rows and
// steps at a time; what rows remain go one by one.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd_double.h"
#include "cpu/turn.h"

namespace minigrad {
namespace {

constexpr Size kColumns = 16 * kLanes;  // that go side by side

// step(carry, x...) takes lanes of the inputs and the carry on, and gives lanes of y.
template <bool reverse, class F, class... X>
void scan_row(float* y, Size n, double first, const F& step, const X*... x) {
  Doubles<1> carry(first);
  for (Size k = 0; k < n; ++k) {
    const Size i = reverse ? n - 1 - k : k;
    y[i] = step(carry, Simd<float, 1>(x[i])...).v;
  }
}

struct Square {
  VFloat lanes[kLanes];

  // The columns first .. first + cols of kLanes rows of n.
  Square(const float* x, Size n, Size cols) {
    MINIGRAD_UNROLL
    for (int r = 0; r < kLanes; ++r)
      lanes[r] = cols == kLanes ? VFloat::load(x + r * n) : VFloat::load(x + r * n, cols);
    transpose(lanes);
  }
  void store(float* y, Size n, Size cols) {
    transpose(lanes);
    MINIGRAD_UNROLL
    for (int r = 0; r < kLanes; ++r) cols == kLanes ? lanes[r].store(y + r * n) : lanes[r].store(y + r * n, cols);
  }
};

// kLanes rows.
template <bool reverse, class F, class... X>
void scan_rows(float* y, Size n, double first, const F& step, const X*... x) {
  const Size squares = (n + kLanes - 1) / kLanes;
  VDouble carry(first);
  for (Size k = 0; k < squares; ++k) {
    const Size at = (reverse ? squares - 1 - k : k) * kLanes, cols = std::min<Size>(kLanes, n - at);
    const auto go = [&](Square out, const auto&... in) {
      MINIGRAD_UNROLL
      for (int l = 0; l < kLanes; ++l) {  // beyond the end stand zeros: they come last, or leave a carry of 0 alone
        const int i = reverse ? kLanes - 1 - l : l;
        out.lanes[i] = step(carry, in.lanes[i]...);
      }
      out.store(y + at, n, cols);
    };
    const auto with = [&](const auto& one, const auto&... more) { go(one, one, more...); };
    with(Square(x + at, n, cols)...);
  }
}

// `columns` <= kColumns neighbouring columns.
template <bool reverse, class F, class... X>
void scan_columns(float* y, Size n, Size stride, Size columns, double first, const F& step, const X*... x) {
  VDouble carry[kColumns / kLanes];
  std::fill(carry, carry + kColumns / kLanes, VDouble(first));
  for (Size k = 0; k < n; ++k) {
    const Size at = (reverse ? n - 1 - k : k) * stride;
    VDouble* c = carry;
    Size i = at;
    for (; i + kLanes <= at + columns; i += kLanes) step(*c++, VFloat::load(x + i)...).store(y + i);
    if (const Size rest = at + columns - i) step(*c, VFloat::load(x + i, rest)...).store(y + i, rest);
  }
}

template <bool reverse = false, class F, class... X>
void scan(const Out<float>& y, double first, const F& step, const X&... x) {
  require(y.ndim == 3, "expected arrays of shape (outer, n, inner)");
  (require_same_shape(y, x, "output and input"), ...);
  const Size outer = y.shape[0], n = y.shape[1], inner = y.shape[2];
  if (inner == 1) {
    const Size groups = (outer + kLanes - 1) / kLanes;
    parallel_for(groups, row_grain(n * kLanes), [&](Size begin, Size end) {
      for (Size row = begin * kLanes, last = std::min(outer, end * kLanes); row < last;)
        if (row + kLanes <= last)
          scan_rows<reverse>(y.data + row * n, n, first, step, x.data + row * n...), row += kLanes;
        else
          scan_row<reverse>(y.data + row * n, n, first, step, x.data + row * n...), ++row;
    });
    return;
  }
  const Size tiles = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * tiles, row_grain(n * std::min(inner, kColumns)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size column = task % tiles * kColumns, at = task / tiles * n * inner + column;
      scan_columns<reverse>(y.data + at, n, inner, std::min(kColumns, inner - column), first, step, x.data + at...);
    }
  });
}

constexpr auto add = [](auto& carry, auto x) { return narrowed(carry = carry + widened(x)); };

}  // namespace

void cumsum_forward(Out<float> y, In<float> x) { scan(y, 0.0, add, x); }

void cumsum_backward(Out<float> dx, In<float> dy) { scan<true>(dx, 0.0, add, dy); }

void cumprod_forward(Out<float> y, In<float> x) {
  scan(y, 1.0, [](auto& carry, auto x) { return narrowed(carry = carry * widened(x)); }, x);
}

// dx_i = before_i s_i, s_i = dy_i + x_i+1 s_i+1; before: y delayed by one step, behind a 1.
void cumprod_backward(Out<float> dx, In<float> dy, In<float> x, In<float> before) {
  const auto step = [](auto& carry, auto dy, auto x, auto before) {
    const std::decay_t<decltype(carry)> s = carry + widened(dy);
    carry = widened(x) * s;
    return narrowed<std::decay_t<decltype(dy)>::lanes>(widened(before) * s);
  };
  scan<true>(dx, 0.0, step, dy, x, before);
}

void recurrence_forward(Out<float> h, In<float> a, In<float> b) {
  const auto step = [](auto& carry, auto a, auto b) { return narrowed(carry = fma(widened(a), carry, widened(b))); };
  scan(h, 0.0, step, a, b);
}

}  // namespace minigrad
