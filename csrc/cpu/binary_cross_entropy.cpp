// Cross-entropy of probabilities, and of numbers whose sigmoids are probabilities.

#include "cpu/kernels.h"
#include "cpu/loss.h"

namespace minigrad {
namespace {

// log(1 + e) for e in (0, 1]: what the rounding of 1 + e loses is given back by the quotient (after Kahan).
VFloat log_one_plus(VFloat e) {
  const VFloat sum = VFloat(1.0f) + e, rounded = sum - VFloat(1.0f);
  return select(rounded == VFloat(0.0f), e, log(sum) * (e / rounded));
}

VFloat cut_log(VFloat x) {
  const VFloat y = log(x), lowest(-100.0f);
  return select(y < lowest, lowest, y);
}

}  // namespace

void binary_cross_entropy_forward(Out<float> loss, In<float> x, In<float> t, double scale) {
  loss_forward(loss, x, t, scale, [](VFloat x, VFloat t) {
    const VFloat rest = VFloat(1.0f) - t;
    return -(t * cut_log(x) + rest * cut_log(VFloat(1.0f) - x));
  });
}

void binary_cross_entropy_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale) {
  loss_backward(dx, dy, x, t, scale, [](VFloat x, VFloat t) {
    const VFloat variance = x * (VFloat(1.0f) - x), least(1e-12f);
    return (x - t) / select(variance < least, least, variance);
  });
}

void binary_cross_entropy_with_logits_forward(Out<float> loss, In<float> x, In<float> t, double scale) {
  loss_forward(loss, x, t, scale, [](VFloat x, VFloat t) {
    return select(x < VFloat(0.0f), VFloat(0.0f), x) - x * t + log_one_plus(exp(-abs(x)));
  });
}

void binary_cross_entropy_with_logits_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale) {
  loss_backward(dx, dy, x, t, scale, [](VFloat x, VFloat t) { return sigmoid(x) - t; });
}

}  // namespace minigrad
