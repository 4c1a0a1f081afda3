// How Winograd's convolution (conv2d_winograd.h) is run: strips of images in, values multiplied, strips out.
//
// A unit is a row of patches of one image. A task turns some units into values (36, patches, channels), multiplies
// these by those of the weights, place by place, and turns the products back. What does not come out finite is left to
// plain sums, which keep an infinity in its windows. Read from the end: correlate, run, then what they call.
#pragma once

#include <algorithm>
#include <atomic>
#include <utility>

#include "cpu/conv2d_sweep.h"
#include "cpu/conv2d_winograd.h"
#include "cpu/turn.h"

namespace minigrad::conv::winograd {

constexpr Size kPatches = 32;  // of a task
constexpr Size kUneven = 16;   // floats between the values of two places: they must not share a place in the cache

inline Size whole(Size channels) { return ceil_div(channels, W) * W; }

// y (images, outs, oh, ow) from x (images, ins, h, w), the first window `pad` outside.
struct Shape {
  Size images, ins, outs, h, w, oh, ow, pad_h, pad_w;

  Size down() const { return ceil_div(oh, kOut); }
  Size across() const { return ceil_div(ow, kOut); }
  Size units() const { return images * down(); }
};

// Whether this way pays: estimated cost in multiply-adds, the transforms being 20 for each element.
inline bool pays(const Shape& s) {
  const double ins = double(whole(s.ins)), outs = double(whole(s.outs)), patches = double(s.units() * s.across());
  const double here = patches * (kPlaces * ins * outs + 16 * 20 * (ins + outs)) + 200 * ins * outs;
  return s.across() <= 4 * kPatches && here < 0.9 * 9 * double(s.ins * s.outs * s.images * s.oh * s.ow);
}

// R rows by V vectors of c = x y, or added to it. The depth is cut into blocks of `steps`.
struct Product {
  Size blocks, steps;
  const float* x;
  Size x_row, x_block, x_step;
  const float* y;
  Size y_step, y_vector;
  float* c;
  Size c_row, c_vector;
  bool add;
};

template <int R, int V>
void multiply(const Product& p) {
  Vec acc[R][V] = {};
  const float* y = p.y;
  for (Size block = 0; block < p.blocks; ++block) {
    const float* x = p.x + block * p.x_block;
    for (Size k = 0; k < p.steps; ++k, x += p.x_step, y += p.y_step) {
      Vec row[V];
      for (int v = 0; v < V; ++v) row[v] = load(y + v * p.y_vector);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec value = VFloat(x[r * p.x_row]).v;
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[r][v] += value * row[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* c = p.c + r * p.c_row + v * p.c_vector;
      VFloat(p.add ? load(c) + acc[r][v] : acc[r][v]).store(c);
    }
}

template <int... R>
auto choose_multiply(Size rows, bool wide, std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Product&) = {&multiply<R + 1, 1>..., &multiply<R + 1, 2>...};
  return table[rows - 1 + (wide ? sizeof...(R) : 0)];
}

// `rows` rows of c, against one panel of y: `wide` if it is of two vectors.
inline void multiply_panel(Product p, Size rows, bool wide) {
  const Size tiles = ceil_div(rows, MR);
  const float* x = p.x;
  float* c = p.c;
  for (Size tile = 0; tile < tiles; ++tile) {
    const Size first = tile * rows / tiles, count = (tile + 1) * rows / tiles - first;
    p.x = x + first * p.x_row, p.c = c + first * p.c_row;
    choose_multiply(count, wide, std::make_integer_sequence<int, MR>{})(p);
  }
}

inline void clear(float* to, Size vectors) {
  for (Size i = 0; i < vectors; ++i) VFloat(0.0f).store(to + i * W);
}

// n pixels of up to W channels, turned into vectors.
inline void turn_in(const float* from, Size area, Size n, Size channels, float* to) {
  if (channels < W) clear(to, n);
  if (n < W || channels < W) return copy_turned(to, W, from, area, n, channels);
  for (Size i = 0; i < n; i += W) {
    const Size at = std::min(i, n - W);
    copy_turned(to + at * W, W, from + at, area, W, W);
  }
}
inline void turn_out(const float* from, Size n, Size channels, float* to, Size area) {
  if (n < W || channels < W) return copy_turned(to, area, from, W, channels, n);
  for (Size i = 0; i < n; i += W) {
    const Size at = std::min(i, n - W);
    copy_turned(to + at, area, from + at * W, W, W, W);
  }
}

// Some channels of part of an image, with zeros around: (rows, cols, W).
struct Strip {
  Size h, w, top, left, rows, cols;

  void fill(const float* x, Size channels, float* to) const {
    const Size lo = std::clamp<Size>(-left, 0, cols), hi = std::clamp<Size>(w - left, lo, cols);
    for (Size r = top; r < top + rows; ++r, to += cols * W) {
      if (r < 0 || r >= h) {
        clear(to, cols);
        continue;
      }
      clear(to, lo);
      turn_in(x + r * w + left + lo, h * w, hi - lo, channels, to + lo * W);
      clear(to + hi * W, cols - hi);
    }
  }
};

// Values (36, channels / W, patches, W).
struct Values {
  float* data;
  Size place, block;  // steps

  Values(float* data, Size channels, Size patches)
      : data(data), place(channels * patches + kUneven), block(patches * W) {}
  static Size size(Size channels, Size patches) { return kPlaces * (channels * patches + kUneven); }
  float* at(Size channel, Size patch) const { return data + channel / W * block + patch * W; }
};

// A run of units of one image, the first of which has patches from `patch` on and outputs from row `top` on.
struct Run {
  Size image, units, top, patch;
};

// Values of W channels from x on, some of which may be missing, that lie in patches of T::in, kOut apart.
template <class T>
void spread(const Shape& s, const Run& run, const Strip& strip, const float* x, Size channels, float* buffer, float* to,
            Size place) {
  strip.fill(x, channels, buffer);
  for (Size unit = 0; unit < run.units; ++unit)
    for (Size patch = 0; patch < s.across(); ++patch, to += W) {
      const float* from = buffer + (unit * kOut * strip.cols + patch * kOut) * W;
      both_ways<T>([&](int i, int j) { return load(from + (i * strip.cols + j) * W); },
                   [&](int i, int j, Vec value) { VFloat(value).store(to + (i * kPatch + j) * place); });
    }
}

// Values of x, all channels.
inline void spread_patches(const Shape& s, const Run& run, const float* x, float* buffer, const Values& v) {
  const Strip strip{
      s.h, s.w, run.top - s.pad_h, -s.pad_w, run.units * kOut + kPatch - kOut, s.across() * kOut + kPatch - kOut};
  for (Size c = 0; c < s.ins; c += W)
    spread<SpreadPatch>(s, run, strip, x + (run.image * s.ins + c) * s.h * s.w, std::min(W, s.ins - c), buffer,
                        v.at(c, run.patch), v.place);
}

// Outputs of W channels, some of which may be missing, from their values; false if one is not finite.
inline bool gather(const Shape& s, const Run& run, const float* from, Size place, Size channels, const float* bias,
                   float* buffer, float* y) {
  const Size cols = s.across() * kOut;
  const Vec level = bias ? VFloat::load(bias, channels).v : Vec{};
  Vec finite = {};
  for (Size unit = 0; unit < run.units; ++unit)
    for (Size patch = 0; patch < s.across(); ++patch, from += W) {
      float* to = buffer + (unit * kOut * cols + patch * kOut) * W;
      both_ways<GatherOutputs>([&](int i, int j) { return load(from + (i * kPatch + j) * place); },
                               [&](int i, int j, Vec value) {
                                 value += level;
                                 finite += 0.0f * value;
                                 VFloat(value).store(to + (i * cols + j) * W);
                               });
    }
  const Size rows = std::min(run.units * kOut, s.oh - run.top);
  for (Size r = 0; r < rows; ++r)
    turn_out(buffer + r * cols * W, s.ow, channels, y + (run.top + r) * s.ow, s.oh * s.ow);
  return !any(is_nan(VFloat(finite)));
}

// From the numbers of one place to those of the next, for every pair of channels.
inline Size pairs(Size ins, Size outs) { return ins * outs + kUneven; }

// Values of the weights, in panels: (36, outs / (2 W), ins, 2 W), the last one maybe of W.
struct Weights {
  Size ins, outs;  // whole vectors
  const float* data;

  const float* panel(Size place, Size o) const { return data + place * pairs(ins, outs) + o * ins; }
  static Size width(Size outs, Size o) { return std::min(2 * W, outs - o); }
};

// Windows lie w_out and w_in apart in w; `turned` ones are read from their end.
inline void pack(const Shape& s, const float* w, Size w_out, Size w_in, bool turned, float* packed) {
  const Size ins = whole(s.ins), outs = whole(s.outs);
  parallel_for(ins, row_grain(outs * kPlaces), [&](Size begin, Size end) {
    for (Size c = begin; c < end; ++c)
      for (Size o = 0; o < outs; o += W) {
        float taps[kWindow * kWindow][W] = {};
        for (Size l = 0; l < std::min(W, s.outs - o) && c < s.ins; ++l)
          for (int t = 0; t < kWindow * kWindow; ++t)
            taps[t][l] = w[(o + l) * w_out + c * w_in + (turned ? kWindow * kWindow - 1 - t : t)];
        const Size first = o / (2 * W) * 2 * W, width = Weights::width(outs, first);
        float* to = packed + first * ins + c * width + o - first;
        both_ways<SpreadWindow>(
            [&](int i, int j) { return load(taps[i * kWindow + j]); },
            [&](int i, int j, Vec value) { VFloat(value).store(to + (i * kPatch + j) * pairs(ins, outs)); });
      }
  });
}

// f(run) for the units begin .. end, the first of which has patch 0.
template <class F>
void for_runs(const Shape& s, Size begin, Size end, const F& f) {
  for (Size unit = begin; unit < end;) {
    const Size row = unit % s.down(), units = std::min(end - unit, s.down() - row);
    f(Run{unit / s.down(), units, row * kOut, (unit - begin) * s.across()});
    unit += units;
  }
}

// Room for a strip of W channels, of as many units as a run may have.
inline Size strip_size(const Shape& s, Size units) {
  constexpr Size rim = kPatch - kOut;
  return (std::min(units, s.down()) * kOut + rim) * (s.across() * kOut + rim) * W;
}

// Units begin .. end of y; false if an output is not finite.
inline bool run(const Shape& s, const Weights& w, const float* x, const float* bias, float* y, Size begin, Size end) {
  const Size patches = (end - begin) * s.across(), strip = strip_size(s, end - begin);
  float* buffer = thread_scratch(strip + Values::size(w.ins, patches) + Values::size(w.outs, patches));
  const Values v(buffer + strip, w.ins, patches), m(v.data + Values::size(w.ins, patches), w.outs, patches);
  for_runs(s, begin, end, [&](const Run& run) { spread_patches(s, run, x, buffer, v); });
  for (Size place = 0; place < kPlaces; ++place)
    for (Size o = 0; o < w.outs; o += 2 * W) {
      const Size width = Weights::width(w.outs, o);
      multiply_panel({w.ins / W, W, v.data + place * v.place, W, v.block, 1, w.panel(place, o), width, W,
                      m.at(o, 0) + place * m.place, W, m.block, false},
                     patches, width > W);
    }
  bool finite = true;
  for_runs(s, begin, end, [&](const Run& run) {
    for (Size o = 0; o < s.outs; o += W)
      finite &= gather(s, run, m.at(o, run.patch), m.place, std::min(W, s.outs - o), bias ? bias + o : nullptr, buffer,
                       y + (run.image * s.outs + o) * s.oh * s.ow);
  });
  return finite;
}

// y from x and w; false if an output is not finite: then y is not what it should be.
inline bool correlate(const Shape& s, const float* x, const float* w, Size w_out, Size w_in, bool turned,
                      const float* bias, float* y) {
  const Scratch<float> packed(kPlaces * pairs(whole(s.ins), whole(s.outs)));
  pack(s, w, w_out, w_in, turned, packed.data());
  const Weights weights{whole(s.ins), whole(s.outs), packed.data()};
  const Size share = std::clamp<Size>(kPatches / s.across(), 1, std::max<Size>(1, s.units() / kChunks));
  std::atomic<bool> finite{true};
  parallel_for(s.units(), share, [&](Size begin, Size end) {
    if (!run(s, weights, x, bias, y, begin, end)) finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

}  // namespace minigrad::conv::winograd
