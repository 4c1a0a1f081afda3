// softmax and log_softmax of the rows of x (rows, cols), and their gradients. The machinery of rows is in rows.h.

#include "cpu/rows.h"

#include "cpu/kernels.h"

namespace minigrad {
namespace {

// f(rows of y, rows of x, rows of each other) for all rows.
template <class F, class... Others>
void map_rows(const Out<float>& y, const F& f, const In<float>& x, const Others&... others) {
  require(y.ndim == 2, "expected arrays of shape (rows, cols)");
  require_same_shape(y, x, "the arrays");
  (require_same_shape(y, others, "the arrays"), ...);
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
