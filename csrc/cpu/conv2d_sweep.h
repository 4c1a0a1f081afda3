// y from x and w: tiles of output channels by vectors of pixels, swept over the pixels of a Field (conv2d_field.h).
//
// One tile is R channels by kWide<R> vectors: each weight is broadcast, each vector of pixels loaded once per tap. The
// cut into tasks depends on the shape alone, and so do the bits. Read from the end: correlate, run, sweep.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/conv2d_field.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"

namespace minigrad::conv {

#if defined(__AVX512F__)
constexpr int MR = 14, kTile = 28;  // output channels of a tile, and accumulators: of 32 registers
#elif defined(__aarch64__)
constexpr int MR = 8, kTile = 24;
#else
constexpr int MR = 6, kTile = 12;  // of 16 registers
#endif
constexpr int kWidest = 8;  // vectors of pixels in a tile, at most

template <int R>
constexpr int kWide = kTile / R < 2         ? 2
                      : kTile / R > kWidest ? kWidest
                                            : kTile / R;

// A vector of pixels: where it starts in the Field and in y.
struct Place {
  Size x, y;
};

// Vectors that cover `pixels` pixels of each of some images. Where W does not divide them, the last of an image reaches
// back into the one before: those come after all others, and only their last `fresh` lanes are new.
struct Places {
  std::vector<Place> list;
  Size count, whole, lanes, fresh;

  Places(Size images, Size pixels, Size x_image, Size y_image) : lanes(std::min(W, pixels)), fresh(pixels % W) {
    for (Size n = 0; n < images; ++n)
      for (Size p = 0; p + W <= pixels; p += W) list.push_back({n * x_image + p, n * y_image + p});
    whole = static_cast<Size>(list.size());
    const Size last = std::max<Size>(0, pixels - W);
    for (Size n = 0; n < images && fresh; ++n) list.push_back({n * x_image + last, n * y_image + last});
    count = static_cast<Size>(list.size());
    list.resize(count + kWidest, list.back());
  }
};

// y + value at place i: each pixel once.
inline VFloat add(VFloat value, const float* y, const Places& places, Size i) {
  if (places.lanes < W) return value + VFloat::load(y, places.lanes);
  if (i < places.whole) return value + VFloat::load(y);
  int32_t mask[2 * W] = {};
  std::fill_n(mask + W, W, -1);
  return VFloat::load(y) + bitcast<float>(bitcast<int32_t>(value) & VInt::load(mask + places.fresh));
}

struct Sweep {
  Size depth;
  const float* w;      // (depth, R)
  const Size* offset;  // of each k
  const float* x;
  const Places& places;
  float* y;
  Size channel;       // step to the next channel of y
  const float* bias;  // of the R channels, or null
  bool add;           // y += instead of y =
};

template <int R>
void sweep(const Sweep& s) {
  constexpr int V = kWide<R>;
  for (Size begin = 0; begin < s.places.count; begin += V) {
    const float* x[V];
    for (int v = 0; v < V; ++v) x[v] = s.x + s.places.list[begin + v].x;
    Vec acc[R][V];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[i][v] = s.bias ? VFloat(s.bias[i]).v : Vec{};
    const float* w = s.w;
    for (Size k = 0; k < s.depth; ++k, w += R) {
      const Size at = s.offset[k];
      if constexpr (R < V) {  // the smaller side is loaded first and kept
        Vec weight[R];
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) weight[i] = VFloat(w[i]).v;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
          const Vec pixels = load(x[v] + at);
#pragma GCC unroll 16
          for (int i = 0; i < R; ++i) acc[i][v] += weight[i] * pixels;
        }
      } else {
        Vec pixels[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) pixels[v] = load(x[v] + at);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
          const Vec weight = VFloat(w[i]).v;
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) acc[i][v] += weight * pixels[v];
        }
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      if (begin + v >= s.places.count) break;
      float* y = s.y + s.places.list[begin + v].y;
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i, y += s.channel) {
        const VFloat value = s.add ? add(acc[i][v], y, s.places, begin + v) : VFloat(acc[i][v]);
        s.places.lanes == W ? value.store(y) : value.store(y, s.places.lanes);
      }
    }
  }
}

template <int... R>
auto choose_sweep(Size rows, std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Sweep&) = {&sweep<R + 1>...};
  return table[rows - 1];
}

// y (images, groups * outs, rows.out, cols.out) from x (images, groups * ins, rows.in, cols.in) and w, read by steps.
struct Correlation {
  Size images, groups, ins, outs;
  Axis rows, cols;
  const float* x;
  float* y;
  const float* w;
  Size w_group, w_out, w_in, w_row;
  const float* bias;

  Size tiles() const { return ceil_div(outs, MR); }
  Size tile(Size i) const { return i * outs / tiles(); }
  Size x_area() const { return rows.in * cols.in; }
  Size y_area() const { return rows.out * cols.out; }
};

// The weights of each group by slices of channels, in those by tiles, in those by taps.
inline void pack(const Correlation& c, const Field& f, float* packed) {
  parallel_for(c.groups * c.tiles(), row_grain(c.ins * f.taps() * MR * 2), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size group = task / c.tiles(), first = c.tile(task % c.tiles()), last = c.tile(task % c.tiles() + 1);
      for (Size top = 0; top < c.ins; top += f.channels) {
        const Size bottom = std::min(c.ins, top + f.channels);
        float* to = packed + (group * c.ins * c.outs + top * c.outs + first * (bottom - top)) * f.taps();
        for (Size channel = top; channel < bottom; ++channel)
          for (const Size i : c.rows.tap)
            for (const Size j : c.cols.tap) {
              const float* w = c.w + group * c.w_group + channel * c.w_in + i * c.w_row + j;
              for (Size o = first; o < last; ++o) *to++ = w[o * c.w_out];
            }
      }
    }
  });
}

// Some images, a band of their rows, and some tiles of a group's output channels.
struct Task {
  Size group, image, images, row, rows, first_tile, last_tile;
};

inline void run(const Correlation& c, const Field& f, const float* packed, const Task& t) {
  const Size x_image = c.groups * c.ins * c.x_area(), y_image = c.groups * c.outs * c.y_area();
  const float* x = c.x + t.image * x_image + t.group * c.ins * c.x_area();
  float* y = c.y + t.image * y_image + t.group * c.outs * c.y_area() + t.row * c.cols.out;
  const Places places(t.images, t.rows * c.cols.out, f.in_place ? x_image : f.image, y_image);
  float* field = thread_scratch(f.size());
  for (Size top = 0; top == 0 || top < c.ins; top += f.channels) {
    const Size channels = std::min(c.ins - top, f.channels), depth = channels * f.taps();
    const float* slice = x + top * c.x_area();
    for (Size n = 0; n < t.images && !f.in_place; ++n)
      fill(f, slice + n * x_image, channels, t.row, t.rows, field + n * f.image);
    for (Size tile = t.first_tile; tile < t.last_tile; ++tile) {
      const Size first = c.tile(tile), rows = c.tile(tile + 1) - first;
      const float* w = packed + (t.group * c.ins * c.outs + top * c.outs) * f.taps() + first * depth;
      const float* bias = c.bias && top == 0 ? c.bias + t.group * c.outs + first : nullptr;
      choose_sweep(rows, std::make_integer_sequence<int, MR>{})(
          {depth, w, f.offset.data(), f.in_place ? slice + t.row * c.cols.out : field, places, y + first * c.y_area(),
           c.y_area(), bias, top > 0});
    }
  }
}

inline void correlate(const Correlation& c) {
  if (c.images == 0 || c.groups * c.outs == 0 || c.y_area() == 0) return;
  const Field f = make_field(c.rows, c.cols, c.ins, c.images / kChunks, c.images * c.y_area());
  const Scratch<float> packed(c.groups * c.outs * c.ins * f.taps());
  pack(c, f, packed.data());
  const Size chunks = ceil_div(c.images, f.images), bands = f.bands();
  const Size share = ceil_div(c.tiles(), std::clamp<Size>(kChunks / (chunks * bands * c.groups), 1, c.tiles()));
  const Size splits = ceil_div(c.tiles(), share);
  const Size work = f.images * f.band * c.cols.out * share * MR * std::max<Size>(1, c.ins) * f.taps();
  parallel_for(chunks * bands * c.groups * splits, kTaskWork / work, [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size split = task % splits, group = task / splits % c.groups, rest = task / splits / c.groups;
      const Size band = rest % bands, image = rest / bands * f.images;
      run(c, f, packed.data(),
          {group, image, std::min(f.images, c.images - image), band * f.band, f.rows_of(band), split * share,
           std::min(c.tiles(), (split + 1) * share)});
    }
  });
}

}  // namespace minigrad::conv
