// batch_norm of x (n, c, s): every channel c is centred and scaled by its own mean and variance over n and s.
//
// The arrays are cut into strips: a piece of one channel's s numbers, which runs across lanes, or, where s is 1, a few
// rows of neighbouring channels, one per lane. Every strip gives two numbers per channel, which are added up in double
// and in the order of the strips. The forward pass reads x once: a strip finds its own mean and the squares about it,
// and the squares about the mean of all follow from these (Chan, Golub and LeVeque 1983). Sums are of differences from
// the first element, which keeps the digits of what lies far from zero. Read for_strips (the engine), then the kernels.

#include <algorithm>
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {
namespace {

constexpr Size kPiece = 4096, kStripRows = 64;

struct Shape {
  Size n, c, s;
  Size count() const { return n * s; }                       // elements of a channel
  Size pieces() const { return (s + kPiece - 1) / kPiece; }  // of one channel in one image
  Size slots() const { return s == 1 ? (n + kStripRows - 1) / kStripRows : n * pieces(); }  // strips of a channel
  Size count(Size slot) const {
    return s == 1 ? std::min(kStripRows, n - slot * kStripRows) : std::min(kPiece, s - slot % pieces() * kPiece);
  }
};

// A number of one row in each of a few channels.
struct Across {
  Size i, lanes;
  VFloat load(const float* p) const { return lanes == kLanes ? VFloat::load(p + i) : VFloat::load(p + i, lanes); }
  void store(float* p, VFloat x) const { lanes == kLanes ? x.store(p + i) : x.store(p + i, lanes); }
};

// Where a strip lies: its first element, its channel (the first of `lanes`) and its number among those of the channel.
struct Piece {
  Size at, channel, slot, size;
  static constexpr Size lanes = 1;
  VFloat spread(const float* per_channel) const { return VFloat(per_channel[channel]); }
  VFloat first(const float* start) const { return VFloat(*start); }
  template <class F>
  void each(const F& f) const {
    LongRow<const float>{nullptr, size}.each(f);
  }
  template <class F>
  VFloat sum(const F& f) const {
    return LongRow<const float>{nullptr, size}.sum(f);
  }
};
struct Rows {
  Size at, channel, slot, size, step, lanes;
  VFloat spread(const float* per_channel) const { return Across{channel, lanes}.load(per_channel); }
  VFloat first(const float* start) const { return Across{0, lanes}.load(start); }
  template <class F>
  void each(const F& f) const {
    for (Size i = 0; i < size; ++i) f(Across{i * step, lanes});
  }
  template <class F>
  VFloat sum(const F& f) const {
    VFloat total(0.0f);
    each([&](auto place) { total += f(place); });
    return total;
  }
};

// f(strip) for all strips.
template <class F>
void for_strips(const Shape& k, const F& f) {
  if (k.s == 1) {
    const Size tiles = (k.c + kLanes - 1) / kLanes;
    parallel_for(k.slots() * tiles, row_grain(kStripRows * kLanes), [&](Size begin, Size end) {
      for (Size task = begin; task < end; ++task) {
        const Size channel = task % tiles * kLanes, slot = task / tiles;
        const Size lanes = std::min<Size>(kLanes, k.c - channel);
        f(Rows{slot * kStripRows * k.c + channel, channel, slot, k.count(slot), k.c, lanes});
      }
    });
    return;
  }
  const Size pieces = k.pieces();
  parallel_for(k.slots() * k.c, row_grain(std::min(k.s, kPiece)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size piece = task % pieces, plane = task / pieces, slot = plane / k.c * pieces + piece;
      f(Piece{plane * k.s + piece * kPiece, plane % k.c, slot, k.count(slot)});
    }
  });
}

// Two numbers for every channel of every strip.
struct Partial {
  const Shape k;
  const Scratch<float> memory;
  explicit Partial(const Shape& k) : k(k), memory(2 * k.slots() * k.c) {}
  float* place(int which, Size slot) const { return memory.data() + (which * k.slots() + slot) * k.c; }
  template <class Strip>
  void put(const Strip& strip, VFloat a, VFloat b) const {
    a.store(place(0, strip.slot) + strip.channel, strip.lanes);
    b.store(place(1, strip.slot) + strip.channel, strip.lanes);
  }
  double sum(int which, Size channel) const {
    double total = 0;
    for (Size slot = 0; slot < k.slots(); ++slot) total += place(which, slot)[channel];
    return total;
  }
};

template <class F>
void for_channels(const Shape& k, const F& f) {
  parallel_for(k.c, row_grain(k.slots()), [&](Size begin, Size end) {
    for (Size c = begin; c < end; ++c) f(c);
  });
}

Shape check(const Array<const float>& x, Size mean, Size var) {
  require(x.ndim == 3, "expected x of shape (n, c, s)");
  require(mean == x.shape[1] && var == x.shape[1], "expected mean and var of shape (c,)");
  return {x.shape[0], x.shape[1], x.shape[2]};
}

// weight / sqrt(var + eps) for every channel.
void scales(float* scale, const float* var, const float* weight, double eps, Size channels) {
  for (Size c = 0; c < channels; ++c)
    scale[c] = static_cast<float>((weight ? weight[c] : 1.0) / std::sqrt(var[c] + eps));
}

void normalise(const Shape& k, float* y, const float* x, const float* mean, const float* var, const float* weight,
               const float* bias, double eps) {
  const Scratch<float> scale(k.c);
  scales(scale.data(), var, weight, eps, k.c);
  for_strips(k, [&](const auto& strip) {
    const VFloat m = strip.spread(mean), w = strip.spread(scale.data());
    const VFloat b = bias ? strip.spread(bias) : VFloat(0.0f);
    strip.each([&](auto at) { at.store(y + strip.at, (at.load(x + strip.at) - m) * w + b); });
  });
}

void moments(const Shape& k, float* mean, float* var, const float* x) {
  const Partial partial(k);  // the mean of a strip, and the squares about it
  for_strips(k, [&](const auto& strip) {
    const float* start = x + strip.at;
    const VFloat n(static_cast<float>(strip.size));
    const VFloat near = strip.first(start);
    const VFloat centre = near + strip.sum([&](auto at) { return at.load(start) - near; }) / n;
    const auto square = [&](auto at) { return (at.load(start) - centre) * (at.load(start) - centre); };
    partial.put(strip, centre, strip.sum(square));
  });
  for_channels(k, [&](Size c) {
    const double n = static_cast<double>(k.count());
    double total = 0, squares = partial.sum(1, c);
    for (Size slot = 0; slot < k.slots(); ++slot) total += k.count(slot) * double{partial.place(0, slot)[c]};
    for (Size slot = 0; slot < k.slots(); ++slot) {
      const double apart = partial.place(0, slot)[c] - total / n;
      squares += k.count(slot) * apart * apart;
    }
    mean[c] = static_cast<float>(total / n), var[c] = static_cast<float>(squares / n);
  });
}

}  // namespace

void batch_norm_forward(Out<float> y, Out<float> mean, Out<float> var, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps) {
  const Shape k = check(x, mean.size, var.size);
  require_same_shape(y, x, "y and x");
  require((!weight || weight.size == k.c) && (!bias || bias.size == k.c), "expected weight and bias of shape (c,)");
  moments(k, mean.data, var.data, x.data);
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
  for_strips(k, [&](const auto& strip) {
    const float *g = dy.data + strip.at, *start = x.data + strip.at;
    const VFloat m = strip.spread(mean.data);
    const VFloat level = strip.sum([&](auto at) { return at.load(g); });
    partial.put(strip, level, strip.sum([&](auto at) { return at.load(g) * (at.load(start) - m); }));
  });
  const Scratch<float> scale(k.c), shift(k.c), slope(k.c);
  scales(scale.data(), var.data, weight.data, eps, k.c);
  for_channels(k, [&](Size c) {
    const double square = var.data[c] + eps, sum = partial.sum(0, c), product = partial.sum(1, c);
    if (db) db.data[c] = static_cast<float>(sum);
    if (dw) dw.data[c] = static_cast<float>(product / std::sqrt(square));
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
