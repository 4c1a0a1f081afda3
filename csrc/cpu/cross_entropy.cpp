// Cross-entropy of the rows of x (rows, classes) with the index of a class each, and its gradient: one pass over x for
// each.
//
// A row with target t holds 1 - smoothing of w_t times the loss of class t, and smoothing / classes of w_c times that
// of every class c. Kept for the gradient: lse, the logarithm of the sum of e^x, in double, so that e^(x - lse) stays
// exact when x is large.

#include <cmath>
#include <string>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {
namespace {

struct Targets {
  const int64_t* target;
  const float* weight;
  Size rows, classes;
  int64_t ignored;
  double sharp, flat;  // what the target's class and what every class holds
  double whole;        // the sum of all weights

  bool count(Size r) const { return target[r] != ignored; }
  double weight_of(Size r) const { return weight ? weight[target[r]] : 1.0; }
  template <class At>
  VFloat weights(At at) const {
    return weight ? at.load(weight) : VFloat(1.0f);
  }
};

Targets check(const In<float>& x, const In<int64_t>& target, const In<float>& weight, int64_t ignored,
              double smoothing) {
  require(x.ndim == 2 && target.ndim == 1 && target.size == x.shape[0],
          "expected x (rows, classes) and target (rows,)");
  const Size classes = x.shape[1];
  require(!weight || (weight.ndim == 1 && weight.size == classes), "expected weight (classes,)");
  for (Size r = 0; r < target.size; ++r) {
    const int64_t t = target.data[r];
    if ((t < 0 || t >= classes) && t != ignored)
      throw std::out_of_range("target " + std::to_string(t) + " is no class: expected 0 to " +
                              std::to_string(classes - 1) + ", or ignore_index " + std::to_string(ignored));
  }
  double whole = static_cast<double>(classes);
  if (weight) whole = 0;
  for (Size c = 0; weight && c < classes; ++c) whole += weight.data[c];
  return {
      target.data, weight.data, target.size, classes, ignored, 1 - smoothing, smoothing / static_cast<double>(classes),
      whole};
}

}  // namespace

// loss: one for every row, or one for all: their sum, or with `count` (the weight of all rows, an output) their mean.
void cross_entropy_forward(Out<float> loss, Out<double> lse, Maybe<Out<double>> count, In<float> x, In<int64_t> target,
                           Maybe<In<float>> weight, int64_t ignore_index, double smoothing) {
  const Targets t = check(x, target, weight, ignore_index, smoothing);
  require(loss.size == t.rows || loss.size == 1, "expected a loss for every row, or one");
  require(lse.size == t.rows && (!count || count.size == 1), "expected lse (rows,) and count of one element");
  const Scratch<double> losses(t.rows);
  const auto row_losses = [&](Size first, const auto& row) {
    const VFloat peak = row.peak();
    const VFloat log_total = log(row.sum([&](auto at) { return exp_bounded(row[at] - peak); }));
    // What weighs nothing adds nothing, and be it infinite.
    const auto weighted = [&](auto at) {
      const VFloat w = t.weights(at), zero(0.0f);
      return select(w == zero, zero, w * (row[at] - peak));
    };
    const VFloat below = t.flat == 0 ? VFloat(0.0f) : row.sum(weighted);
    for (int i = 0; i < row.count; ++i) {
      const Size r = first + i;
      const double top = peak[i], log_sum = log_total[i];
      lse.data[r] = top + log_sum;
      losses[r] = 0;
      if (!t.count(r)) continue;
      const double own = t.sharp * t.weight_of(r);
      if (own != 0) losses[r] = own * (log_sum - (x.data[r * t.classes + target.data[r]] - top));
      if (t.flat != 0) losses[r] += t.flat * (t.whole * log_sum - below[i]);
    }
  };
  for_rows(t.rows, t.classes, row_losses, x.data);
  if (loss.size == t.rows && !count) {
    for (Size r = 0; r < t.rows; ++r) loss.data[r] = static_cast<float>(losses[r]);
    return;
  }
  double total = 0, counted = 0;
  for (Size r = 0; r < t.rows; ++r) {
    total += losses[r];
    if (t.count(r)) counted += t.weight_of(r);
  }
  if (count) *count.data = counted;
  *loss.data = static_cast<float>(count ? total / counted : total);
}

// dx = dy (all that the row holds e^(x - lse) - what it holds of each class); dy as loss above.
void cross_entropy_backward(Out<float> dx, In<float> dy, Maybe<In<double>> count, In<float> x, In<double> lse,
                            In<int64_t> target, Maybe<In<float>> weight, int64_t ignore_index, double smoothing) {
  const Targets t = check(x, target, weight, ignore_index, smoothing);
  require_same_shape(dx, x, "dx and x");
  require((dy.size == t.rows || dy.size == 1) && lse.size == t.rows && (!count || count.size == 1),
          "expected dy for every row or one, lse (rows,) and count of one element");
  const double divisor = count ? *count.data : 1.0;
  const auto row_gradients = [&](Size first, const auto& row) {
    float high[kLanes], low[kLanes], all[kLanes], each[kLanes], own[kLanes];
    for (int i = 0; i < row.count; ++i) {
      const Size r = first + i;
      const bool counts = t.count(r);
      const double g = counts ? dy.data[dy.size == 1 ? 0 : r] / divisor : 0.0;
      const double sharp = counts ? t.sharp * t.weight_of(r) : 0.0;
      high[i] = static_cast<float>(lse.data[r]);
      low[i] = static_cast<float>(lse.data[r] - high[i]);
      all[i] = static_cast<float>(g * (sharp + t.flat * t.whole));
      each[i] = static_cast<float>(g * t.flat);
      own[i] = static_cast<float>(g * sharp);
    }
    const VFloat h = row.spread(high), l = row.spread(low), a = row.spread(all), e = row.spread(each);
    auto out = row.output(dx.data + first * t.classes);
    if (t.flat == 0)
      out.each([&](auto at) { out.put(at, a * exp_bounded(row[at] - h - l)); });
    else
      out.each([&](auto at) { out.put(at, a * exp_bounded(row[at] - h - l) - e * t.weights(at)); });
    out.finish();
    for (int i = 0; i < row.count; ++i) {
      float* grad = dx.data + (first + i) * t.classes;
      if (t.count(first + i))
        grad[target.data[first + i]] -= own[i];
      else
        std::fill_n(grad, t.classes, 0.0f);  // what was ignored may hold NaN
    }
  };
  for_rows(t.rows, t.classes, row_gradients, x.data);
}

}  // namespace minigrad
