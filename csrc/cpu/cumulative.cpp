// Running sums and products of x (outer, n, inner) along n, and the recurrence h_i = a_i h_i-1 + b_i; all carried in
// double.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

// Neighbouring columns, or rows where there are no columns, go together: one waits for its last step while the others
// take theirs.
constexpr Size kColumns = 64, kRows = 8;

// y[i] = carry = step(carry, place of element i), `lanes` times side by side.
template <class F>
void scan_lanes(float* y, Size at, Size n, Size stride, Size lanes, Size lane_stride, double first, const F& step) {
  double carry[kColumns];
  std::fill(carry, carry + lanes, first);
  for (Size i = 0; i < n; ++i, at += stride)
    for (Size c = 0; c < lanes; ++c) {
      const Size place = at + c * lane_stride;
      y[place] = static_cast<float>(carry[c] = step(carry[c], place));
    }
}

template <class F>
void scan(float* y, const Size* shape, double first, const F& step) {
  const Size outer = shape[0], n = shape[1], inner = shape[2];
  if (inner == 1) {
    parallel_for((outer + kRows - 1) / kRows, row_grain(n * kRows), [&](Size begin, Size end) {
      for (Size row = begin * kRows; row < std::min(outer, end * kRows); row += kRows)
        scan_lanes(y, row * n, n, 1, std::min(kRows, outer - row), n, first, step);
    });
    return;
  }
  const Size tiles = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * tiles, row_grain(n * std::min(inner, kColumns)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size column = task % tiles * kColumns;
      scan_lanes(y, task / tiles * n * inner + column, n, inner, std::min(kColumns, inner - column), 1, first, step);
    }
  });
}

template <class A>
void check(const Out<float>& y, const A& x) {
  require(y.ndim == 3, "expected arrays of shape (outer, n, inner)");
  require_same_shape(y, x, "output and input");
}

}  // namespace

void cumsum_forward(Out<float> y, In<float> x) {
  check(y, x);
  scan(y.data, y.shape, 0.0, [&](double carry, Size at) { return carry + x.data[at]; });
}

void cumprod_forward(Out<float> y, In<float> x) {
  check(y, x);
  scan(y.data, y.shape, 1.0, [&](double carry, Size at) { return carry * x.data[at]; });
}

void recurrence_forward(Out<float> h, In<float> a, In<float> b) {
  check(h, a);
  check(h, b);
  scan(h.data, h.shape, 0.0, [&](double carry, Size at) { return a.data[at] * carry + b.data[at]; });
}

}  // namespace minigrad
