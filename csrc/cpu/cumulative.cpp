// Running sums and products of x (outer, n, inner) along n, and the recurrence h_i = a_i h_i-1 + b_i; all carried in double.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

constexpr Size kTile = 64;

// y[i] = carry = step(carry, place of element i), along every column; neighbouring columns go together.
template <class F>
void scan(float* y, const Size* shape, double first, const F& step) {
  const Size n = shape[1], inner = shape[2], tiles = (inner + kTile - 1) / kTile;
  parallel_for(n ? shape[0] * tiles : 0, row_grain(n * std::min(inner, kTile)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size column = task % tiles * kTile, columns = std::min(kTile, inner - column);
      Size at = task / tiles * n * inner + column;
      double carry[kTile];
      std::fill(carry, carry + columns, first);
      for (Size i = 0; i < n; ++i, at += inner)
        for (Size c = 0; c < columns; ++c) y[at + c] = static_cast<float>(carry[c] = step(carry[c], at + c));
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
