// batch_norm of x (n, c, s): every channel c is centred and scaled by its own mean and variance over n and s.
//
// The forward pass reads x from memory once, the backward pass x and dy (batch_norm.h).

#include "cpu/batch_norm.h"

#include "cpu/kernels.h"

namespace minigrad {
namespace {

using namespace batch;

void normalise(const Shape& k, float* y, const float* x, const float* mean, const float* var, const float* weight,
               const float* bias, double eps) {
  const Scratch<float> scale(k.c);
  for (Size c = 0; c < k.c; ++c) scale[c] = scale_of(var, weight, eps, c);
  for_strips(k, [&](const auto& strip) {
    const VFloat m = strip.spread(mean), w = strip.spread(scale.data());
    const VFloat b = bias ? strip.spread(bias) : VFloat(0.0f);
    strip.each([&](auto at) { at.store(y + strip.at, (at.load(x + strip.at) - m) * w + b); });
  });
}

}  // namespace

void batch_norm_forward(Out<float> y, Out<float> mean, Out<float> var, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps) {
  const Shape k = check(x, mean.size, var.size);
  require_same_shape(y, x, "y and x");
  require((!weight || weight.size == k.c) && (!bias || bias.size == k.c), "expected weight and bias of shape (c,)");
  moments(k, x.data, mean.data, var.data);
  normalise(k, y.data, x.data, mean.data, var.data, weight.data, bias.data, eps);
}

void batch_norm_apply(Out<float> y, In<float> x, In<float> mean, In<float> var, Maybe<In<float>> weight,
                      Maybe<In<float>> bias, double eps) {
  const Shape k = check(x, mean.size, var.size);
  require_same_shape(y, x, "y and x");
  require((!weight || weight.size == k.c) && (!bias || bias.size == k.c), "expected weight and bias of shape (c,)");
  normalise(k, y.data, x.data, mean.data, var.data, weight.data, bias.data, eps);
}

// With xhat = (x - mean) rstd: dw = sum dy xhat, db = sum dy, dx = w rstd (dy - db / m - xhat dw / m), m = n s.
void batch_norm_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy, In<float> x,
                         Maybe<In<float>> weight, In<float> mean, In<float> var, double eps) {
  const Shape k = check(x, mean.size, var.size);
  require_same_shape(dx, x, "dx and x");
  require_same_shape(dy, x, "dy and x");
  require(!weight || weight.size == k.c, "expected a weight of shape (c,)");
  require((!dw || dw.size == k.c) && (!db || db.size == k.c), "expected dw and db of shape (c,)");
  const Partial partial(k);
  const Scratch<float> scale(k.c), shift(k.c), slope(k.c);
  for_strips(k, [&](const auto& strip) {
    const float *g = dy.data + strip.at, *start = x.data + strip.at;
    const VFloat m = strip.spread(mean.data);
    const VFloat level = strip.sum([&](auto at) { return at.load(g); });
    partial.put(strip, level, strip.sum([&](auto at) { return at.load(g) * (at.load(start) - m); }));
  });
  for_channels(k, [&](Size c) {
    const double square = var.data[c] + eps, sum = partial.sum(0, c), product = partial.sum(1, c);
    if (db) db.data[c] = static_cast<float>(sum);
    if (dw) dw.data[c] = static_cast<float>(product / std::sqrt(square));
    scale[c] = scale_of(var.data, weight.data, eps, c);
    shift[c] = static_cast<float>(sum / k.count());
    slope[c] = static_cast<float>(product / square / k.count());
  });
  for_strips(k, [&](const auto& strip) {
    const float *g = dy.data + strip.at, *start = x.data + strip.at;
    const VFloat m = strip.spread(mean.data), w = strip.spread(scale.data());
    const VFloat a = strip.spread(shift.data()), b = strip.spread(slope.data());
    strip.each([&](auto at) { at.store(dx.data + strip.at, w * (at.load(g) - a - (at.load(start) - m) * b)); });
  });
}

// running = (1 - momentum) running + momentum batch, the variance times `correction`; all (c,)
void batch_norm_track(Out<float> running_mean, Out<float> running_var, In<float> mean, In<float> var, double momentum,
                      double correction) {
  const Size c = mean.size;
  require(running_mean.size == c && running_var.size == c && var.size == c, "expected four arrays of shape (c,)");
  const auto move = [&](float& running, double batch) {
    running = static_cast<float>((1 - momentum) * running + momentum * batch);
  };
  for (Size i = 0; i < c; ++i) {
    move(running_mean.data[i], mean.data[i]);
    move(running_var.data[i], correction * var.data[i]);
  }
}

}  // namespace minigrad
