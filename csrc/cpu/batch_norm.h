// What batch_norm and its fused forms share: how x (n, c, s) is cut, summed and put together.
//
// The arrays are cut into strips: a piece of one channel's s numbers, or these of some images, which run across lanes,
// or, where s is 1, a few rows of neighbouring channels, one per lane. Every strip gives two numbers per channel, which
// are added up in double and in the order of the strips. All passes go through memory in its own order: channel by
// channel their planes would be as far apart as caches alias. Read for_strips, then moments.
#pragma once

#include <algorithm>
#include <cmath>

#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad::batch {

constexpr Size kPiece = 4096, kSmallPlane = 1024, kStripRows = 64;

struct Shape {
  Size n, c, s;
  Size count() const { return n * s; }                                             // elements of a channel
  Size pieces() const { return (s + kPiece - 1) / kPiece; }                        // of one channel in one image
  Size images() const { return s == 0 || s > kSmallPlane ? 1 : kSmallPlane / s; }  // in a piece
  Size slots() const {                                                             // strips of a channel
    return s == 1 ? (n + kStripRows - 1) / kStripRows : (n + images() - 1) / images() * pieces();
  }
  Size count(Size slot) const {
    if (s == 1) return std::min(kStripRows, n - slot * kStripRows);
    const Size held = std::min(images(), n - slot / pieces() * images());
    return held * std::min(kPiece, s - slot % pieces() * kPiece);
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
  Size at, channel, slot, size;  // size: of all images
  Size images, step;             // of whole planes, `step` apart, or one
  static constexpr Size lanes = 1;

  VFloat spread(const float* per_channel) const { return VFloat(per_channel[channel]); }
  VFloat first(const float* start) const { return VFloat(*start); }
  template <class F>
  void each(const F& f) const {
    const Size count = size / images;
    for (Size image = 0; image < images; ++image) {
      Size i = image * step;
      const Size end = i + count;
      for (; i + kLanes <= end; i += kLanes) f(Whole{i});
      if (i < end) f(Tail{i, end - i});
    }
  }
  template <class F>
  VFloat sum(const F& f) const {
    const Size count = size / images;
    VFloat acc[4] = {VFloat(0.0f), VFloat(0.0f), VFloat(0.0f), VFloat(0.0f)};
    for (Size image = 0; image < images; ++image) {
      Size i = image * step;
      const Size end = i + count;
      for (; i + 4 * kLanes <= end; i += 4 * kLanes)
        for (int k = 0; k < 4; ++k) acc[k] += f(Whole{i + k * kLanes});
      for (; i + kLanes <= end; i += kLanes) acc[0] += f(Whole{i});
      if (i < end) acc[1] += keep_first(f(Tail{i, end - i}), end - i);
    }
    return VFloat(minigrad::sum((acc[0] + acc[1]) + (acc[2] + acc[3])));
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

inline Piece piece(const Shape& k, Size channel, Size slot) {
  const Size image = slot / k.pieces() * k.images(), images = std::min(k.images(), k.n - image), step = k.c * k.s;
  return {image * step + channel * k.s + slot % k.pieces() * kPiece, channel, slot, k.count(slot), images, step};
}

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
  parallel_for(k.slots() * k.c, row_grain(k.images() * std::min(k.s, kPiece)), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) f(piece(k, task % k.c, task / k.c));
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

// f(channel) for all of them.
template <class F>
void for_channels(const Shape& k, const F& f) {
  parallel_for(k.c, row_grain(k.slots()), [&](Size begin, Size end) {
    for (Size c = begin; c < end; ++c) f(c);
  });
}

inline Shape check(const Array<const float>& x, Size mean, Size var) {
  require(x.ndim == 3, "expected x of shape (n, c, s)");
  require(mean == x.shape[1] && var == x.shape[1], "expected mean and var of shape (c,)");
  return {x.shape[0], x.shape[1], x.shape[2]};
}

// weight / sqrt(var + eps)
inline float scale_of(const float* var, const float* weight, double eps, Size c) {
  return static_cast<float>((weight ? weight[c] : 1.0) / std::sqrt(var[c] + eps));
}

// Mean and variance in one pass: a strip finds its own mean and the squares about it, and the squares about the mean of
// all follow from these (Chan, Golub and LeVeque 1983). Sums are of differences from the first element, which keeps the
// digits of what lies far from zero.
inline void moments(const Shape& k, const float* x, float* mean, float* var) {
  const Partial partial(k);  // the mean of a strip, and the squares about it
  for_strips(k, [&](const auto& strip) {
    const float* start = x + strip.at;
    const VFloat n(static_cast<float>(strip.size)), near = strip.first(start);
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

}  // namespace minigrad::batch
