// softmax and log_softmax along n of x (outer, n, inner), and their gradients. The machinery of rows is in rows.h;
// columns are brought to where a lane has one of its own, a tile of them at a time, and then treated as rows are.

#include "cpu/rows.h"

#include "cpu/kernels.h"
#include "cpu/memory.h"

namespace minigrad {
namespace {

constexpr Size kTile = 2 * kLanes;  // columns

// A tile of columns of a matrix with n rows `stride` apart, group by group of kLanes columns.
template <class F>
void for_groups(Size n, Size stride, Size columns, const F& copy) {
  for (Size i = 0; i < n; ++i)
    for (Size c = 0, group = 0; c < columns; c += kLanes, ++group)
      copy((group * n + i) * kLanes, i * stride + c, std::min<Size>(kLanes, columns - c));
}
const float* bring(const float* x, Size n, Size stride, Size columns, float* to) {
  for_groups(n, stride, columns, [&](Size at, Size from, Size count) { VFloat::load(x + from, count).store(to + at); });
  return to;
}
void take_back(const float* lanes, Size n, Size stride, Size columns, float* y) {
  for_groups(n, stride, columns, [&](Size at, Size to, Size count) { VFloat::load(lanes + at).store(y + to, count); });
}

template <class F, class... X>
void map_columns(float* y, const Size* shape, const F& f, const X*... x) {
  const Size outer = shape[0], n = shape[1], inner = shape[2], tiles = (inner + kTile - 1) / kTile;
  parallel_for(outer * tiles, row_grain(n * kTile), [&](Size begin, Size end) {
    const Scratch<float> memory((1 + sizeof...(x)) * n * kTile);
    for (Size task = begin; task < end; ++task) {
      const Size column = task % tiles * kTile, columns = std::min(kTile, inner - column);
      const Size at = task / tiles * n * inner + column;
      float *const out = memory.data(), *last = out;
      const auto next = [&] { return last += n * kTile; };
      const auto on_lanes = [&](const auto*... lanes) {
        for (Size c = 0; c < columns; c += kLanes) {
          SideBySide y{out + c * n, n};
          f(y, SideBySide{const_cast<float*>(lanes) + c * n, n}...);
        }
      };
      on_lanes(bring(x + at, n, inner, columns, next())...);
      take_back(out, n, inner, columns, y + at);
    }
  });
}

// f(rows of y, rows of x, rows of each other) for all rows.
template <class F, class... Others>
void map_rows(const Out<float>& y, const F& f, const In<float>& x, const Others&... others) {
  require(y.ndim == 3, "expected arrays of shape (outer, n, inner)");
  require_same_shape(y, x, "the arrays");
  (require_same_shape(y, others, "the arrays"), ...);
  if (y.size && y.shape[2] > 1) return map_columns(y.data, y.shape, f, x.data, others.data...);
  const Size rows = y.size ? y.shape[0] : 0, cols = y.shape[1];
  const auto with_output = [&](Size r, const auto& x, const auto&... others) {
    auto out = x.output(y.data + r * cols);
    f(out, x, others...);
    out.finish();
  };
  for_rows(rows, cols, with_output, x.data, others.data...);
}

}  // namespace

void softmax_forward(Out<float> y, In<float> x) {
  const auto softmax = [](auto& y, const auto& x) {
    const VFloat peak = x.peak();
    const VFloat total = x.sum([&](auto at) {
      const VFloat e = exp_bounded(x[at] - peak);
      y.put(at, e);
      return e;
    });
    const VFloat scale = VFloat(1.0f) / total;
    y.each([&](auto at) { y.put(at, y[at] * scale); });
  };
  map_rows(y, softmax, x);
}

void softmax_backward(Out<float> dx, In<float> dy, In<float> y) {
  const auto gradient = [](auto& dx, const auto& dy, const auto& y) {
    const VFloat dot = y.sum([&](auto at) { return dy[at] * y[at]; });
    dx.each([&](auto at) { dx.put(at, y[at] * (dy[at] - dot)); });
  };
  map_rows(dx, gradient, dy, y);
}

void log_softmax_forward(Out<float> y, In<float> x) {
  const auto log_softmax = [](auto& y, const auto& x) {
    const VFloat peak = x.peak();
    const VFloat log_total = log(x.sum([&](auto at) { return exp_bounded(x[at] - peak); }));
    y.each([&](auto at) { y.put(at, x[at] - peak - log_total); });
  };
  map_rows(y, log_softmax, x);
}

void log_softmax_backward(Out<float> dx, In<float> dy, In<float> y) {
  const auto gradient = [](auto& dx, const auto& dy, const auto& y) {
    const VFloat total = dy.sum([&](auto at) { return dy[at]; });
    dx.each([&](auto at) { dx.put(at, dy[at] - exp_bounded(y[at]) * total); });
  };
  map_rows(dx, gradient, dy, y);
}

}  // namespace minigrad
