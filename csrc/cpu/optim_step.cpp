// The update of one parameter by one optimizer in one pass over memory; the reference is minigrad/ops/optim_step.py.

#include <cmath>

#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

using V = VFloat;

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

// f(i, lanes) for the elements i, i + 1, ... of every vector.
template <class F>
void for_vectors(Size size, const F& f) {
  parallel_for(size, kStreamGrain, [&](Size begin, Size end) {
    Size i = begin;
    for (; i + V::lanes <= end; i += V::lanes) f(i, Whole{});
    if (i < end) f(i, Tail{end - i});
  });
}

// The gradient to go down along: reversed to go up, and with the gradient of weight_decay / 2 |p|^2 added.
struct Descent {
  float weight_decay;
  bool maximize;
  V operator()(V p, V g) const {
    const V d = maximize ? -g : g;
    return weight_decay != 0.0f ? fma(V(weight_decay), p, d) : d;
  }
};

}  // namespace

void sgd_step(Out<float> p, Maybe<Out<float>> buf, In<float> g, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first) {
  require_same_shape(p, g, "p and g");
  if (buf) require_same_shape(p, buf, "p and buf");
  const Descent descent{float(weight_decay), maximize};
  const V step(float(-lr)), keep(static_cast<float>(momentum)), take(float(1 - dampening));
  if (!buf)
    return for_vectors(p.size, [&](Size i, auto lanes) {
      const V old = lanes.load(p.data + i);
      lanes.store(p.data + i, fma(step, descent(old, lanes.load(g.data + i)), old));
    });
  for_vectors(p.size, [&](Size i, auto lanes) {
    const V old = lanes.load(p.data + i), d = descent(old, lanes.load(g.data + i));
    const V v = first ? d : fma(keep, lanes.load(buf.data + i), take * d);
    lanes.store(buf.data + i, v);
    lanes.store(p.data + i, fma(step, nesterov ? fma(keep, v, d) : v, old));
  });
}

void adam_step(Out<float> p, Out<float> exp_avg, Out<float> exp_avg_sq, Maybe<Out<float>> max_exp_avg_sq, In<float> g,
               double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled, bool maximize,
               double correction1, double correction2) {
  require_same_shape(p, g, "p and g");
  require_same_shape(p, exp_avg, "p and exp_avg");
  require_same_shape(p, exp_avg_sq, "p and exp_avg_sq");
  if (max_exp_avg_sq) require_same_shape(p, max_exp_avg_sq, "p and max_exp_avg_sq");
  const Descent descent{decoupled ? 0.0f : float(weight_decay), maximize};
  const V shrink(decoupled ? float(1 - lr * weight_decay) : 1.0f);
  const V keep1(static_cast<float>(beta1)), take1(float(1 - beta1));
  const V keep2(static_cast<float>(beta2)), take2(float(1 - beta2));
  const V step(float(lr / correction1)), scale(float(1 / std::sqrt(correction2))), floor(static_cast<float>(eps));
  for_vectors(p.size, [&](Size i, auto lanes) {
    const V old = lanes.load(p.data + i), d = descent(old, lanes.load(g.data + i));
    const V m = fma(keep1, lanes.load(exp_avg.data + i), take1 * d);
    const V v = fma(keep2, lanes.load(exp_avg_sq.data + i), take2 * d * d);
    lanes.store(exp_avg.data + i, m);
    lanes.store(exp_avg_sq.data + i, v);
    V second = v;
    if (max_exp_avg_sq) {
      second = max(lanes.load(max_exp_avg_sq.data + i), v);
      lanes.store(max_exp_avg_sq.data + i, second);
    }
    lanes.store(p.data + i, shrink * old - step * m / (sqrt(second) * scale + floor));
  });
}

}  // namespace minigrad
