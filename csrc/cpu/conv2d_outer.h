// dw and db from x and dy: tiles of taps by vectors of output channels, summed over the pixels of a Field
// (conv2d_field.h).
//
// dy is turned, so that the channels of a pixel lie side by side; each element of x is broadcast. Some images at a time
// give a partial sum, which the shape alone decides, and the partial sums are added in order. Read from the end:
// weight_gradient, accumulate, outer.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/conv2d_field.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/turn.h"

namespace minigrad::conv {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTaps = 8;  // of a tile: with kPanel channels, 16 accumulators of 32 registers
#else
constexpr int kTaps = 6;  // 12 of 16
#endif
constexpr Size kPanel = 2 * W;                // output channels of a tile, side by side in the turned dy
constexpr Size kPixels = 512;                 // pixels of dy that are turned at a time
constexpr Size kPartialSize = Size{1} << 19;  // floats that all partial sums should not exceed

struct Outer {
  Size images, pixels;
  const float* dy;  // (images, pixels, V * W)
  const float* x;
  Size image;          // step to the next image of x
  const Size* offset;  // of each tap
  float* dw;           // += (R, V * W)
  Size row;            // step to the next row of dw
};

template <int R, int V>
void outer(const Outer& o) {
  Vec acc[R][V] = {};
  const float* dy = o.dy;
  for (Size n = 0; n < o.images; ++n) {
    const float* x[R];
    for (int r = 0; r < R; ++r) x[r] = o.x + n * o.image + o.offset[r];
    for (Size p = 0; p < o.pixels; ++p, dy += V * W) {
      Vec channels[V];
      for (int v = 0; v < V; ++v) channels[v] = load(dy + v * W);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vec pixel = VFloat(x[r][p]).v;
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[r][v] += pixel * channels[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* dw = o.dw + r * o.row + v * W;
      (VFloat::load(dw) + VFloat(acc[r][v])).store(dw);
    }
}

template <int... R>
auto choose_outer(Size taps, bool wide, std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Outer&) = {&outer<R + 1, 1>..., &outer<R + 1, 2>...};
  return table[taps - 1 + (wide ? sizeof...(R) : 0)];
}

// dw (groups * outs, ins, taps) and db (groups * outs); partial sums of both are turned: (groups, ins * taps + 1,
// outs), with outs rounded up to W, and db last.
struct WeightGradient {
  Size images, groups, ins, outs;
  Axis rows, cols;
  const float *x, *dy;

  Size area() const { return rows.out * cols.out; }
  Size depth() const { return ins * rows.taps() * cols.taps(); }
  Size padded() const { return ceil_div(outs, W) * W; }
  Size sums() const { return (depth() + 1) * padded(); }  // of a group
};

// Output channels first .. last of some images, a band of their rows, in panels of (images, pixels, kPanel or W).
inline void turn(const WeightGradient& g, const float* dy, Size images, Size pixels, Size first, Size last, float* to) {
  for (Size o = first; o < last; o += kPanel) {
    const Size channels = std::min(kPanel, last - o), width = channels > W ? kPanel : W;
    if (channels < width) std::fill_n(to, images * pixels * width, 0.0f);
    for (Size n = 0; n < images; ++n, to += pixels * width)
      copy_turned(to, width, dy + (n * g.groups * g.outs + o) * g.area(), g.area(), pixels, channels);
  }
}

// db += all pixels of a turned dy.
inline void add_levels(const float* turned, Size pixels, Size channels, float* db) {
  for (Size o = 0; o < channels; o += kPanel) {
    const Size width = channels - o > W ? kPanel : W;
    for (Size v = 0; v < width; v += W) {
      VFloat sum(0.0f);
      for (Size p = 0; p < pixels; ++p) sum += VFloat::load(turned + p * width + v);
      (VFloat::load(db + o + v) + sum).store(db + o + v);
    }
    turned += pixels * width;
  }
}

// Adds what images begin .. end give to output channels first .. last of a group to its sums.
inline void accumulate(const WeightGradient& g, const Field& f, Size group, Size begin, Size end, Size first, Size last,
                       float* sums) {
  const Size x_area = g.rows.in * g.cols.in, x_image = g.groups * g.ins * x_area;
  const Size turned_size = ceil_div(last - first, W) * W * f.images * f.band * g.cols.out;
  float* turned = thread_scratch(turned_size + f.size());
  float* field = turned + turned_size;
  for (Size image = begin; image < end; image += f.images)
    for (Size band = 0; band < f.bands(); ++band) {
      const Size images = std::min(f.images, end - image), row = band * f.band, pixels = f.rows_of(band) * g.cols.out;
      const float* dy = g.dy + (image * g.groups + group) * g.outs * g.area() + row * g.cols.out;
      turn(g, dy, images, pixels, first, last, turned);
      add_levels(turned, images * pixels, last - first, sums + g.depth() * g.padded() + first);
      for (Size top = 0; top < g.ins; top += f.channels) {
        const Size channels = std::min(g.ins - top, f.channels), depth = channels * f.taps();
        const Size tiles = ceil_div(depth, kTaps);
        const float* x = g.x + image * x_image + (group * g.ins + top) * x_area;
        for (Size n = 0; n < images && !f.in_place; ++n)
          fill(f, x + n * x_image, channels, row, f.rows_of(band), field + n * f.image);
        for (Size o = first; o < last; o += kPanel)
          for (Size tile = 0; tile < tiles; ++tile) {
            const Size k = tile * depth / tiles, taps = (tile + 1) * depth / tiles - k;
            choose_outer(taps, last - o > W, std::make_integer_sequence<int, kTaps>{})(
                {images, pixels, turned + (o - first) * images * pixels, f.in_place ? x + row * g.cols.out : field,
                 f.in_place ? x_image : f.image, f.offset.data() + k, sums + (top * f.taps() + k) * g.padded() + o,
                 g.padded()});
          }
      }
    }
}

// dw and db from `parts` partial sums: always added in the same order.
inline void combine(const WeightGradient& g, const float* partial, Size parts, float* dw, float* db) {
  const Size depth = g.depth(), size = g.groups * g.sums();
  parallel_for(g.groups * (depth + 1), row_grain(parts * g.outs), [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i)
      for (Size o = 0; o < g.outs; ++o) {
        const Size channel = i / (depth + 1) * g.outs + o, k = i % (depth + 1);
        double sum = 0;
        for (Size part = 0; part < parts; ++part) sum += partial[part * size + i * g.padded() + o];
        if (k < depth)
          dw[channel * depth + k] = static_cast<float>(sum);
        else if (db)
          db[channel] = static_cast<float>(sum);
      }
  });
}

inline void weight_gradient(const WeightGradient& g, float* dw, float* db) {
  const Size size = g.groups * g.sums(), panels = ceil_div(g.outs, kPanel);
  const Size parts = std::clamp<Size>(kPartialSize / size, 1, std::min(kChunks, g.images));
  const Size splits = std::clamp<Size>(ceil_div(kChunks, parts * g.groups), 1, panels);
  const Size tasks = parts * g.groups * splits;
  const Field f = make_field(g.rows, g.cols, g.ins, ceil_div(g.images, parts), kPixels);
  const Scratch<float> partial(parts * size);
  const Size work = std::max<Size>(1, g.images * g.area() * size / tasks);
  parallel_for(tasks, kTaskWork / work, [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size split = task % splits, group = task / splits % g.groups, part = task / splits / g.groups;
      const Size first = split * panels / splits * kPanel;
      const Size last = std::min(g.outs, (split + 1) * panels / splits * kPanel);
      float* sums = partial.data() + (part * g.groups + group) * g.sums();
      for (Size k = 0; k <= g.depth(); ++k)
        std::fill_n(sums + k * g.padded() + first, ceil_div(last - first, W) * W, 0.0f);
      accumulate(g, f, group, part * g.images / parts, (part + 1) * g.images / parts, first, last, sums);
    }
  });
  combine(g, partial.data(), parts, dw, db);
}

}  // namespace minigrad::conv
