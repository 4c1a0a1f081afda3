// The negative log-likelihood of the classes that targets name, x (n, classes, inner), and its gradient.
//
// One number of x counts for each target; the gradient is zeros, and one number for each.

#include <algorithm>
#include <string>

#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

struct Targets {
  const int64_t* target;
  const float* weight;
  Size n, classes, inner;
  int64_t ignored;

  Size count() const { return n * inner; }
  bool counts(Size i) const { return target[i] != ignored; }
  double weight_of(Size i) const { return weight ? weight[target[i]] : 1.0; }
  // Where x has the class of target i.
  Size place(Size i) const { return (i / inner * classes + target[i]) * inner + i % inner; }
};

template <class A>
Targets check(const A& x, const In<int64_t>& target, const In<float>& weight, int64_t ignored) {
  require(x.ndim == 3 && target.ndim == 1 && target.size == x.shape[0] * x.shape[2],
          "expected x (n, classes, inner) and target (n * inner,)");
  const Size classes = x.shape[1];
  require(!weight || (weight.ndim == 1 && weight.size == classes), "expected weight (classes,)");
  for (Size i = 0; i < target.size; ++i) {
    const int64_t t = target.data[i];
    if ((t < 0 || t >= classes) && t != ignored)
      throw std::out_of_range("target " + std::to_string(t) + " is no class: expected 0 to " +
                              std::to_string(classes - 1) + ", or ignore_index " + std::to_string(ignored));
  }
  return {target.data, weight.data, x.shape[0], classes, x.shape[2], ignored};
}

}  // namespace

// loss: one for every target, or one for all: their sum, or with `count` (the weight of all, an output) their mean.
void nll_loss_forward(Out<float> loss, Maybe<Out<double>> count, In<float> x, In<int64_t> target,
                      Maybe<In<float>> weight, int64_t ignore_index) {
  const Targets t = check(x, target, weight, ignore_index);
  require((loss.size == t.count() || loss.size == 1) && (!count || count.size == 1),
          "expected a loss for every target, or one, and count of one element");
  const bool apart = loss.size == t.count() && !count;
  double total = 0, counted = 0;
  for (Size i = 0; i < t.count(); ++i) {
    const double w = t.counts(i) ? t.weight_of(i) : 0.0, own = t.counts(i) ? -w * x.data[t.place(i)] : 0.0;
    if (apart) loss.data[i] = static_cast<float>(own);
    total += own, counted += w;
  }
  if (count) *count.data = counted;
  if (!apart) *loss.data = static_cast<float>(count ? total / counted : total);
}

// dy as loss above.
void nll_loss_backward(Out<float> dx, In<float> dy, Maybe<In<double>> count, In<int64_t> target,
                       Maybe<In<float>> weight, int64_t ignore_index) {
  const Targets t = check(dx, target, weight, ignore_index);
  require((dy.size == t.count() || dy.size == 1) && (!count || count.size == 1),
          "expected dy for every target, or one, and count of one element");
  const double divisor = count ? *count.data : 1.0;
  const Size plane = t.classes * t.inner;
  parallel_for(t.n, row_grain(plane), [&](Size begin, Size end) {
    std::fill(dx.data + begin * plane, dx.data + end * plane, 0.0f);
    for (Size i = begin * t.inner; i < end * t.inner; ++i)
      if (t.counts(i))
        dx.data[t.place(i)] = static_cast<float>(-dy.data[dy.size == 1 ? 0 : i] / divisor * t.weight_of(i));
  });
}

}  // namespace minigrad
