// Running sums of x (outer, n, inner) along n, taken in double.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

constexpr Size kTile = 64;

// `columns` <= kTile neighbouring columns.
void cumsum_columns(float* y, const float* x, Size n, Size stride, Size columns) {
  double acc[kTile] = {};
  for (Size i = 0; i < n; ++i, x += stride, y += stride)
    for (Size c = 0; c < columns; ++c) y[c] = static_cast<float>(acc[c] += x[c]);
}

}  // namespace

void cumsum_forward(Out<float> y, In<float> x) {
  require(x.ndim == 3, "expected x of shape (outer, n, inner)");
  require_same_shape(y, x, "y and x");
  const Size n = x.shape[1], inner = x.shape[2], tiles = (inner + kTile - 1) / kTile;
  parallel_for(x.size ? x.shape[0] * tiles : 0, row_grain(n * std::min(inner, kTile)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size column = task % tiles * kTile, at = task / tiles * n * inner + column;
      cumsum_columns(y.data + at, x.data + at, n, inner, std::min(kTile, inner - column));
    }
  });
}

}  // namespace minigrad
