// The update of all parameters of a group by one optimizer, in one pass over memory; the reference is
// minigrad/ops/optim_step.py.

#include <cmath>

#include "cpu/kernels.h"
#include "cpu/lists.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

using V = VFloat;
using Outs = List<Out<float>>;
using Ins = List<In<float>>;

// How f reads and writes the lanes it is called for: all of them, or the first n at the end.
struct Whole {
  V load(const float* p) const { return V::load(p); }
  void store(float* p, V x) const { x.store(p); }
};
struct Tail {
  Size n;
  V load(const float* p) const { return V::load(p, n); }
  void store(float* p, V x) const { x.store(p, n); }
};

// One array for each parameter, in its shape.
template <class Arrays>
void check(const Outs& params, const Arrays& others, const char* what) {
  require(others.count() == params.count(), what);
  for (Size k = 0; k < params.count(); ++k) require_same_shape(params[k], others[k], "a parameter and its arrays");
}

// f(k) gives the update of the elements i, i + 1, ... of parameter k: a function of (i, lanes).
template <class F>
void for_vectors(const Outs& params, const F& f) {
  for_pieces(params, [&](Size, Size k, Size i, Size last) {
    const auto update = f(k);
    for (; i + V::lanes <= last; i += V::lanes) update(i, Whole{});
    if (i < last) update(i, Tail{last - i});
  });
}

float* at(const Outs& arrays, Size k) { return arrays ? arrays[k].data : nullptr; }

// The gradient to go down along: reversed to go up, and with the gradient of weight_decay / 2 |p|^2 added.
struct Descent {
  float weight_decay;
  bool maximize;
  V operator()(V p, V g) const {
    const V d = maximize ? -g : g;
    return weight_decay != 0.0f ? fma(V(weight_decay), p, d) : d;
  }
};

// The exponential moving average: beta mean + (1 - beta) value.
struct Decay {
  V keep, take;
  explicit Decay(double beta) : keep(static_cast<float>(beta)), take(static_cast<float>(1 - beta)) {}
  V operator()(V mean, V value) const { return fma(keep, mean, take * value); }
};

}  // namespace

void sgd_step(Outs params, Maybe<Outs> bufs, Ins grads, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first) {
  check(params, grads, "expected a gradient for each parameter");
  if (bufs) check(params, bufs, "expected a buffer for each parameter");
  const Descent descent{float(weight_decay), maximize};
  const V step(float(-lr)), keep(static_cast<float>(momentum)), take(float(1 - dampening));
  for_vectors(params, [&](Size k) {
    float *const p = params[k].data, *const buf = at(bufs, k);
    const float* const g = grads[k].data;
    return [=](Size i, auto lanes) {
      const V old = lanes.load(p + i), d = descent(old, lanes.load(g + i));
      if (!buf) return lanes.store(p + i, fma(step, d, old));
      const V v = first ? d : fma(keep, lanes.load(buf + i), take * d);
      lanes.store(buf + i, v);
      lanes.store(p + i, fma(step, nesterov ? fma(keep, v, d) : v, old));
    };
  });
}

void adagrad_step(Outs params, Outs totals, Ins grads, double lr, double weight_decay, double eps, bool maximize) {
  check(params, grads, "expected a gradient for each parameter");
  check(params, totals, "expected a sum of squares for each parameter");
  const Descent descent{float(weight_decay), maximize};
  const V step(static_cast<float>(lr)), floor(static_cast<float>(eps));
  for_vectors(params, [&](Size k) {
    float *const p = params[k].data, *const total = totals[k].data;
    const float* const g = grads[k].data;
    return [=](Size i, auto lanes) {
      const V old = lanes.load(p + i), d = descent(old, lanes.load(g + i)), sum = fma(d, d, lanes.load(total + i));
      lanes.store(total + i, sum);
      lanes.store(p + i, old - step * d / (sqrt(sum) + floor));
    };
  });
}

void rmsprop_step(Outs params, Outs square_avgs, Maybe<Outs> grad_avgs, Maybe<Outs> bufs, Ins grads, double lr,
                  double alpha, double eps, double weight_decay, double momentum, bool maximize) {
  check(params, grads, "expected a gradient for each parameter");
  check(params, square_avgs, "expected a mean of squares for each parameter");
  if (grad_avgs) check(params, grad_avgs, "expected a mean of gradients for each parameter");
  if (bufs) check(params, bufs, "expected a buffer for each parameter");
  const Descent descent{float(weight_decay), maximize};
  const Decay decay(alpha);
  const V step(static_cast<float>(lr)), floor(static_cast<float>(eps)), keep(static_cast<float>(momentum));
  for_vectors(params, [&](Size k) {
    float *const p = params[k].data, *const square_avg = square_avgs[k].data;
    float *const grad_avg = at(grad_avgs, k), *const buf = at(bufs, k);
    const float* const g = grads[k].data;
    return [=](Size i, auto lanes) {
      const V old = lanes.load(p + i), d = descent(old, lanes.load(g + i));
      const V square = decay(lanes.load(square_avg + i), d * d);
      lanes.store(square_avg + i, square);
      V variance = square;
      if (grad_avg) {
        const V mean = decay(lanes.load(grad_avg + i), d);
        lanes.store(grad_avg + i, mean);
        variance = square - mean * mean;
      }
      V move = d / (sqrt(variance) + floor);
      if (buf) {
        move = fma(keep, lanes.load(buf + i), move);
        lanes.store(buf + i, move);
      }
      lanes.store(p + i, old - step * move);
    };
  });
}

void adam_step(Outs params, Outs exp_avgs, Outs exp_avg_sqs, Maybe<Outs> max_exp_avg_sqs, Ins grads, int64_t count,
               double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled, bool maximize,
               bool bias_correction) {
  check(params, grads, "expected a gradient for each parameter");
  check(params, exp_avgs, "expected a mean for each parameter");
  check(params, exp_avg_sqs, "expected a mean of squares for each parameter");
  if (max_exp_avg_sqs) check(params, max_exp_avg_sqs, "expected a largest mean of squares for each parameter");
  const double correction1 = bias_correction ? 1 - std::pow(beta1, static_cast<double>(count)) : 1.0;
  const double correction2 = bias_correction ? 1 - std::pow(beta2, static_cast<double>(count)) : 1.0;
  const Descent descent{decoupled ? 0.0f : float(weight_decay), maximize};
  const Decay decay1(beta1), decay2(beta2);
  const V shrink(decoupled ? float(1 - lr * weight_decay) : 1.0f);
  const V step(float(lr / correction1)), scale(float(1 / std::sqrt(correction2))), floor(static_cast<float>(eps));
  for_vectors(params, [&](Size k) {
    float *const p = params[k].data, *const exp_avg = exp_avgs[k].data, *const exp_avg_sq = exp_avg_sqs[k].data;
    float* const max_exp_avg_sq = at(max_exp_avg_sqs, k);
    const float* const g = grads[k].data;
    return [=](Size i, auto lanes) {
      const V old = lanes.load(p + i), d = descent(old, lanes.load(g + i));
      const V m = decay1(lanes.load(exp_avg + i), d), v = decay2(lanes.load(exp_avg_sq + i), d * d);
      lanes.store(exp_avg + i, m);
      lanes.store(exp_avg_sq + i, v);
      V second = v;
      if (max_exp_avg_sq) {
        second = max(lanes.load(max_exp_avg_sq + i), v);
        lanes.store(max_exp_avg_sq + i, second);
      }
      lanes.store(p + i, shrink * old - step * m / (sqrt(second) * scale + floor));
    };
  });
}

}  // namespace minigrad
