// dw and db where windows hold few elements: each is the scalar product of a plane of dy with a run of the Field.
//
// So dy is read as it lies. Tiles of some output channels by some taps are summed over the pixels of a band, lane by
// lane, in vectors that stay in the cache until some images are done. Read from the end.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/conv2d_outer.h"
#include "cpu/conv2d_sweep.h"

namespace minigrad::conv::inner {

constexpr int kOuts = 4, kSums = kTile / kOuts;  // a tile
constexpr Size kFew = 40;                        // elements of a window for which this pays

inline bool pays(const WeightGradient& g) { return 0 < g.depth() && g.depth() <= kFew && g.area() >= 4 * W; }

struct Tile {
  const float* dy;
  Size plane;  // step to the next channel of dy
  const float* field;
  const Size* offset;  // of each tap
  Size pixels;
  float* sums;   // += (O, R, W)
  Size channel;  // step to the next channel of the sums
};

template <int O, int R>
void multiply(const Tile& t) {
  Vec acc[O][R] = {};
  const float *dy[O], *x[R];
  for (int o = 0; o < O; ++o) dy[o] = t.dy + o * t.plane;
  for (int r = 0; r < R; ++r) x[r] = t.field + t.offset[r];
  const auto add = [&](auto load) {
    Vec g[O];
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) g[o] = load(dy[o]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec pixels = load(x[r]);
#pragma GCC unroll 4
      for (int o = 0; o < O; ++o) acc[o][r] += g[o] * pixels;
    }
  };
  Size p = 0;
  for (; p + W <= t.pixels; p += W) add([p](const float* from) { return VFloat::load(from + p).v; });
  if (p < t.pixels) add([&t, p](const float* from) { return VFloat::load(from + p, t.pixels - p).v; });
#pragma GCC unroll 4
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float* sum = t.sums + o * t.channel + r * W;
      (VFloat::load(sum) + VFloat(acc[o][r])).store(sum);
    }
}

template <int... I>
auto choose(Size outs, Size taps, std::integer_sequence<int, I...>) {
  static constexpr void (*table[])(const Tile&) = {&multiply<I / kSums + 1, I % kSums + 1>...};
  return table[(outs - 1) * kSums + taps - 1];
}

// Adds the elements of a plane, lane by lane.
inline void add_level(const float* dy, Size pixels, float* level) {
  VFloat total = VFloat::load(level);
  Size p = 0;
  for (; p + W <= pixels; p += W) total += VFloat::load(dy + p);
  if (p < pixels) total += VFloat::load(dy + p, pixels - p);
  total.store(level);
}

// What a band of an image gives to `outs` output channels: sums (outs, taps + 1, W), the last of each being db's.
inline void add_band(const Field& f, const float* field, const float* dy, Size plane, Size outs, Size pixels,
                     float* sums) {
  const Size depth = static_cast<Size>(f.offset.size()), tiles = ceil_div(depth, kSums), channel = (depth + 1) * W;
  for (Size o = 0; o < outs; o += kOuts, dy += kOuts * plane, sums += kOuts * channel) {
    const Size count = std::min<Size>(kOuts, outs - o);
    for (Size i = 0; i < count; ++i) add_level(dy + i * plane, pixels, sums + i * channel + depth * W);
    for (Size tile = 0; tile < tiles; ++tile) {
      const Size first = tile * depth / tiles, taps = (tile + 1) * depth / tiles - first;
      choose(count, taps, std::make_integer_sequence<int, kOuts * kSums>{})(
          {dy, plane, field, f.offset.data() + first, pixels, sums + first * W, channel});
    }
  }
}

// Output channels first .. last of a group over images begin .. end, to partial (last - first, taps + 1).
inline void sum_images(const WeightGradient& g, const Field& f, Size group, Size begin, Size end, Size first, Size last,
                       float* partial) {
  const Size x_area = g.rows.in * g.cols.in, count = (last - first) * (g.depth() + 1);
  float* sums = thread_scratch(count * W + f.size());
  float* room = sums + count * W;
  std::fill_n(sums, count * W, 0.0f);
  for (Size image = begin; image < end; ++image)
    for (Size band = 0; band < f.bands(); ++band) {
      const Size row = band * f.band, rows = f.rows_of(band);
      const float* x = g.x + (image * g.groups + group) * g.ins * x_area;
      const float* dy = g.dy + ((image * g.groups + group) * g.outs + first) * g.area() + row * g.cols.out;
      if (!f.in_place) fill(f, x, g.ins, row, rows, room);
      add_band(f, f.in_place ? x + row * g.cols.out : room, dy, g.area(), last - first, rows * g.cols.out, sums);
    }
  for (Size i = 0; i < count; ++i) partial[i] = sum(VFloat::load(sums + i * W));
}

// From partial sums (parts, channels, taps + 1), the last of each channel being db's.
inline void combine(const float* partial, Size parts, Size channels, Size taps, float* dw, float* db) {
  for (Size channel = 0; channel < channels; ++channel)
    for (Size k = 0; k <= taps; ++k) {
      double total = 0;
      for (Size part = 0; part < parts; ++part) total += partial[(part * channels + channel) * (taps + 1) + k];
      if (k < taps)
        dw[channel * taps + k] = static_cast<float>(total);
      else if (db)
        db[channel] = static_cast<float>(total);
    }
}

inline void weight_gradient(const WeightGradient& g, float* dw, float* db) {
  const Size depth = g.depth(), channels = g.groups * g.outs, parts = std::min(kChunks, g.images);
  const Size splits = std::clamp<Size>(kChunks / (parts * g.groups), 1, ceil_div(g.outs, kOuts));
  const Field f = make_field(g.rows, g.cols, g.ins, 1, kFieldSize);
  const Scratch<float> partial(parts * channels * (depth + 1));
  const Size tasks = parts * g.groups * splits,
             work = std::max<Size>(1, g.images * g.area() * depth * channels / tasks);
  parallel_for(tasks, kTaskWork / work, [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size split = task % splits, group = task / splits % g.groups, part = task / splits / g.groups;
      const Size first = split * g.outs / splits, last = (split + 1) * g.outs / splits;
      sum_images(g, f, group, part * g.images / parts, (part + 1) * g.images / parts, first, last,
                 partial.data() + ((part * g.groups + group) * g.outs + first) * (depth + 1));
    }
  });
  combine(partial.data(), parts, channels, depth, dw, db);
}

}  // namespace minigrad::conv::inner
