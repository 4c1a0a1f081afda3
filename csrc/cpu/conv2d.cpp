// Convolution: y[o, p] = sum over k of w[o, k] x[offset[k] + p], a matrix product whose right operand is never built.
//
// The offsets point into a Field (conv2d_field.h), in which all strides, paddings and dilations are one and the same
// case.
//
//   forward          tiles of output channels by vectors of pixels                                      sweep
//   backward_input   the same from dy, the weights turned; with a stride, once for each remainder of the position
//   backward_weight  tiles of taps by vectors of output channels, over a turned copy of dy              outer
//
// The cut into tasks depends on the shape alone, and so do the bits. Read Correlation, then WeightGradient.

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/conv2d_field.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

// Output channels of a tile, accumulators of a tile, taps of a tile of dw.
#if defined(__AVX512F__)
constexpr int MR = 14, kTile = 28, kTaps = 8;  // of 32 registers
#elif defined(__aarch64__)
constexpr int MR = 8, kTile = 24, kTaps = 8;
#else
constexpr int MR = 6, kTile = 12, kTaps = 6;  // of 16 registers
#endif
constexpr int kWidest = 8;                    // vectors of pixels in a tile, at most
constexpr Size kPanel = 2 * W;                // output channels side by side in a turned copy of dy
constexpr Size kPixels = 512;                 // pixels of dy that are turned at a time
constexpr Size kChunks = 16;                  // tasks wanted where there is work for them
constexpr Size kTaskWork = Size{1} << 18;     // multiplications that make a task worth a thread's while
constexpr Size kPartialSize = Size{1} << 19;  // floats that all partial sums of dw should not exceed

using Vec = VFloat::Vec;  // bare vectors: every accumulator must live in a register

Vec load(const float* p) { return VFloat::load(p).v; }

// --- forward and backward_input: tiles of R output channels by kWide vectors of pixels -------------------------------

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
VFloat add(VFloat value, const float* y, const Places& places, Size i) {
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
void pack(const Correlation& c, const Field& f, float* packed) {
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

void run(const Correlation& c, const Field& f, const float* packed, const Task& t) {
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

void correlate(const Correlation& c) {
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

// --- backward_weight: tiles of R taps by V vectors of output channels ------------------------------------------------

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

// dw (groups * outs, ins, taps); partial sums of it are turned: (groups, ins * taps, outs), with outs rounded up to W.
struct WeightGradient {
  Size images, groups, ins, outs;
  Axis rows, cols;
  const float *x, *dy;

  Size area() const { return rows.out * cols.out; }
  Size depth() const { return ins * rows.taps() * cols.taps(); }
  Size padded() const { return ceil_div(outs, W) * W; }
};

// Output channels first .. last of some images, a band of their rows, in panels of (images, pixels, kPanel or W).
void turn(const WeightGradient& g, const float* dy, Size images, Size pixels, Size first, Size last, float* to) {
  for (Size o = first; o < last; o += kPanel) {
    const Size channels = std::min(kPanel, last - o), width = channels > W ? kPanel : W;
    if (channels < width) std::fill_n(to, images * pixels * width, 0.0f);
    for (Size n = 0; n < images; ++n, to += pixels * width)
      copy_turned(to, width, dy + (n * g.groups * g.outs + o) * g.area(), g.area(), pixels, channels);
  }
}

// Adds what images begin .. end give to output channels first .. last of a group to its (depth, padded) sums.
void accumulate(const WeightGradient& g, const Field& f, Size group, Size begin, Size end, Size first, Size last,
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

// dw from `parts` partial sums: always added in the same order.
void combine(const WeightGradient& g, const float* partial, Size parts, float* dw) {
  const Size depth = g.depth(), size = g.groups * depth * g.padded();
  parallel_for(g.groups * depth, row_grain(parts * g.outs), [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i)
      for (Size o = 0; o < g.outs; ++o) {
        double sum = 0;
        for (Size part = 0; part < parts; ++part) sum += partial[part * size + i * g.padded() + o];
        dw[(i / depth * g.outs + o) * depth + i % depth] = static_cast<float>(sum);
      }
  });
}

void weight_gradient(const WeightGradient& g, float* dw) {
  const Size size = g.groups * g.depth() * g.padded(), panels = ceil_div(g.outs, kPanel);
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
      float* sums = partial.data() + (part * g.groups + group) * g.depth() * g.padded();
      for (Size k = 0; k < g.depth(); ++k)
        std::fill_n(sums + k * g.padded() + first, ceil_div(last - first, W) * W, 0.0f);
      accumulate(g, f, group, part * g.images / parts, (part + 1) * g.images / parts, first, last, sums);
    }
  });
  combine(g, partial.data(), parts, dw);
}

// --- kernels ---------------------------------------------------------------------------------------------------------

struct Geometry {
  Size images, groups, ins, outs, area;  // ins and outs of one group; area: taps of a window
  Window rows, cols;
};

template <class Y, class X, class K>
Geometry geometry(const Y& y, const X& x, const K& w, Size stride_h, Size stride_w, Size pad_h, Size pad_w, Size dil_h,
                  Size dil_w, Size groups) {
  require(y.ndim == 4 && x.ndim == 4 && w.ndim == 4, "expected three arrays of four dimensions");
  require(stride_h > 0 && stride_w > 0 && dil_h > 0 && dil_w > 0 && groups > 0,
          "strides, dilations and groups must be positive");
  require(y.shape[0] == x.shape[0] && y.shape[1] == w.shape[0] && x.shape[1] == groups * w.shape[1] &&
              w.shape[0] % groups == 0,
          "expected y (n, out, oh, ow), x (n, in, h, w) and w (out, in / groups, kh, kw)");
  require(w.shape[2] > 0 && w.shape[3] > 0, "expected a window of at least one element");
  const Window rows{w.shape[2], stride_h, pad_h, dil_h}, cols{w.shape[3], stride_w, pad_w, dil_w};
  return {x.shape[0], groups, w.shape[1], w.shape[0] / groups, rows.taps * cols.taps, rows, cols};
}

// Writes dx at every stride-th place from (top, left) on.
void spread(Out<float> dx, const float* part, const Geometry& g, const Axis& rows, const Axis& cols, Size top,
            Size left) {
  const Size height = dx.shape[2], width = dx.shape[3];
  parallel_for(dx.shape[0] * dx.shape[1], row_grain(height * width), [&](Size begin, Size end) {
    for (Size plane = begin; plane < end; ++plane)
      for (Size r = 0; r < rows.out; ++r) {
        const float* from = part + (plane * rows.out + r) * cols.out;
        float* to = dx.data + (plane * height + top + r * g.rows.stride) * width + left;
        for (Size c = 0; c < cols.out; ++c) to[c * g.cols.stride] = from[c];
      }
  });
}

}  // namespace

// y (n, out, oh, ow), x (n, in, h, w), w (out, in / groups, kh, kw), bias (out). What a window finds beyond x is zero:
// the padding below and on the right follows from the shape of y.
void conv2d_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias, int64_t stride_h, int64_t stride_w,
                    int64_t pad_h, int64_t pad_w, int64_t dil_h, int64_t dil_w, int64_t groups) {
  const Geometry g = geometry(y, x, w, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups);
  require(!bias || (bias.ndim == 1 && bias.shape[0] == w.shape[0]), "expected bias (out,)");
  correlate({g.images, g.groups, g.ins, g.outs, forward_axis(x.shape[2], y.shape[2], g.rows),
             forward_axis(x.shape[3], y.shape[3], g.cols), x.data, y.data, w.data, g.outs * g.ins * g.area,
             g.ins * g.area, g.area, g.cols.taps, bias.data});
}

void conv2d_backward_input(Out<float> dx, In<float> dy, In<float> w, int64_t stride_h, int64_t stride_w, int64_t pad_h,
                           int64_t pad_w, int64_t dil_h, int64_t dil_w, int64_t groups) {
  const Geometry g = geometry(dy, dx, w, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups);
  const Size height = dx.shape[2], width = dx.shape[3];
  const bool strided = stride_h > 1 || stride_w > 1;
  if (strided || dy.size == 0) std::fill_n(dx.data, dx.size, 0.0f);
  if (dy.size == 0) return;
  const Size planes = dx.shape[0] * dx.shape[1];
  const Scratch<float> part(strided ? planes * ceil_div(height, stride_h) * ceil_div(width, stride_w) : 0);
  for (Size top = 0; top < std::min(stride_h, height); ++top)
    for (Size left = 0; left < std::min(stride_w, width); ++left) {
      const Axis rows = backward_axis(height, dy.shape[2], g.rows, top);
      const Axis cols = backward_axis(width, dy.shape[3], g.cols, left);
      if (rows.taps() == 0 || cols.taps() == 0) continue;
      correlate({g.images, g.groups, g.outs, g.ins, rows, cols, dy.data, strided ? part.data() : dx.data, w.data,
                 g.outs * g.ins * g.area, g.area, g.ins * g.area, g.cols.taps, nullptr});
      if (strided) spread(dx, part.data(), g, rows, cols, top, left);
    }
}

void conv2d_backward_weight(Out<float> dw, In<float> dy, In<float> x, int64_t stride_h, int64_t stride_w, int64_t pad_h,
                            int64_t pad_w, int64_t dil_h, int64_t dil_w, int64_t groups) {
  const Geometry g = geometry(dy, x, dw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups);
  if (dy.size == 0 || dw.size == 0) return (void)std::fill_n(dw.data, dw.size, 0.0f);
  weight_gradient({g.images, g.groups, g.ins, g.outs, forward_axis(x.shape[2], dy.shape[2], g.rows),
                   forward_axis(x.shape[3], dy.shape[3], g.cols), x.data, dy.data},
                  dw.data);
}

}  // namespace minigrad
