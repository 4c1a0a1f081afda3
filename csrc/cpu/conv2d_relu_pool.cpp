// y = the maximum of relu(conv(x)) over squares of 2 x 2, for few channels of x: no output of conv is ever written.
//
// A square of outputs sees a patch of x. The Field (conv2d_field.h) of a convolution whose window is that patch, and
// whose step is a whole square, holds every element of the patches as one run over the squares. So a tile is some
// output channels by the four corners of W squares; their maximum and its place (squares.h) are found in registers.
//
// Backward, dy goes where the maximum was: four masked copies of dy, one for each corner, of which three are zero at
// every square. They meet the same Field. Sums over images are kept as vectors until the end.

#include <algorithm>

#include "cpu/conv2d_sweep.h"
#include "cpu/kernels.h"
#include "cpu/squares.h"

namespace minigrad {
namespace {

using namespace conv;

using squares::kCorners;
constexpr int kOuts = kTile / kCorners;                   // output channels of a tile
constexpr int kSumOuts = 4, kSumTaps = kTile / kSumOuts;  // sums held at a time in the backward pass

struct Layer {
  Size images, ins, outs, taps;  // taps: of all channels
  Axis rows, cols;               // of the patches
  Field field;
  std::vector<Size> corner[kCorners];  // offset in the Field of each tap as seen from a corner

  Size squares() const { return rows.out * cols.out; }
  Size image() const { return ins * rows.in * cols.in; }
};

// Places of the taps of two windows side by side, without repetition; `of` counts them by window.
struct Patch {
  Axis axis;
  std::vector<Size> of[2];
  Patch(Size in, Size squares, const Window& w) : axis{in, squares, 2 * w.stride, {}, {}} {
    for (Size which = 0; which < 2; ++which)
      for (Size t = 0; t < w.taps; ++t) {
        const Size shift = which * w.stride + t * w.dilation - w.pad;
        const auto found = std::find(axis.shift.begin(), axis.shift.end(), shift);
        of[which].push_back(found - axis.shift.begin());
        if (found == axis.shift.end()) axis.shift.push_back(shift), axis.tap.push_back(t);
      }
  }
};

template <class Y, class Code, class X, class K>
Layer layer(const Y& y, const Code& code, const X& x, const K& w, Size stride_h, Size stride_w, Size pad_h, Size pad_w,
            Size dil_h, Size dil_w) {
  require(y.ndim == 4 && x.ndim == 4 && w.ndim == 4, "expected three arrays of four dimensions");
  require_same_shape(code, y, "code and y");
  require(stride_h > 0 && stride_w > 0 && dil_h > 0 && dil_w > 0, "strides and dilations must be positive");
  require(y.shape[0] == x.shape[0] && y.shape[1] == w.shape[0] && x.shape[1] == w.shape[1],
          "expected y (n, out, ph, pw), x (n, in, h, w) and w (out, in, kh, kw)");
  require(w.size > 0, "expected a weight of at least one element");
  const Patch down(x.shape[2], y.shape[2], {w.shape[2], stride_h, pad_h, dil_h});
  const Patch across(x.shape[3], y.shape[3], {w.shape[3], stride_w, pad_w, dil_w});
  Layer l{x.shape[0], x.shape[1], w.shape[0], w.size / w.shape[0], down.axis, across.axis, {}, {}};
  if (y.size == 0) return l;
  l.field = make_field(l.rows, l.cols, l.ins, 1, l.squares());
  require(l.field.channels == l.ins, "too many input channels");
  for (int which = 0; which < kCorners; ++which)
    for (Size c = 0; c < l.ins; ++c)
      for (const Size i : down.of[which / 2])
        for (const Size j : across.of[which % 2])
          l.corner[which].push_back(l.field.offset[(c * l.rows.taps() + i) * l.cols.taps() + j]);
  return l;
}

struct Tile {
  const Layer& l;
  const float *w, *bias, *field;  // w (taps, R), bias (R) or null
  Size squares, channel;          // of the band; step to the next output channel
  float* y;
  uint8_t* code;
};

// R output channels of all squares of a band, W at least. Some of the last W may have been done before.
template <int R>
void pool_tile(const Tile& t) {
  for (Size s = 0; s < t.squares; s += W) {
    const Size at = std::min(s, t.squares - W);
    Vec acc[R][kCorners];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < kCorners; ++c) acc[i][c] = t.bias ? VFloat(t.bias[i]).v : Vec{};
    const float *w = t.w, *field = t.field + at;
    for (Size k = 0; k < t.l.taps; ++k, w += R) {
      Vec weight[R];
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) weight[i] = VFloat(w[i]).v;
#pragma GCC unroll 4
      for (int c = 0; c < kCorners; ++c) {
        const Vec pixels = load(field + t.l.corner[c][k]);
#pragma GCC unroll 8
        for (int i = 0; i < R; ++i) acc[i][c] += weight[i] * pixels;
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const auto best = squares::winner(VFloat(acc[i][0]), VFloat(acc[i][1]), VFloat(acc[i][2]), VFloat(acc[i][3]));
      best.value.store(t.y + i * t.channel + at);
      best.code.store(t.code + i * t.channel + at);
    }
  }
}

template <int... R>
auto choose_pool(Size outs, std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Tile&) = {&pool_tile<R + 1>...};
  return table[outs - 1];
}

Size tile_start(const Layer& l, Size i) { return i * l.outs / ceil_div(l.outs, kOuts); }

// The weights of the tiles, (taps, outs of the tile) each.
void pack(const Layer& l, const float* w, float* to) {
  for (Size tile = 0; tile < ceil_div(l.outs, kOuts); ++tile)
    for (Size k = 0; k < l.taps; ++k)
      for (Size o = tile_start(l, tile); o < tile_start(l, tile + 1); ++o) *to++ = w[o * l.taps + k];
}

// All output channels of a band of an image, which is at `at` in y.
void pool_band(const Layer& l, const float* w, const float* bias, const float* field, Size squares, Size at, float* y,
               uint8_t* code) {
  float few[kOuts * W];  // where an image has no W squares
  uint8_t their_codes[kOuts * W];
  const bool whole = squares >= W;
  for (Size tile = 0; tile < ceil_div(l.outs, kOuts); ++tile) {
    const Size first = tile_start(l, tile), outs = tile_start(l, tile + 1) - first, to = at + first * l.squares();
    choose_pool(outs, std::make_integer_sequence<int, kOuts>{})(
        {l, w + first * l.taps, bias ? bias + first : nullptr, field, std::max(squares, W), whole ? l.squares() : W,
         whole ? y + to : few, whole ? code + to : their_codes});
    for (Size o = 0; o < outs && !whole; ++o) {
      std::copy_n(few + o * W, squares, y + to + o * l.squares());
      std::copy_n(their_codes + o * W, squares, code + to + o * l.squares());
    }
  }
}

// dy of one output channel as four copies, each with what belongs to one corner, and zeros up to whole vectors.
// Returns the sum, lane by lane.
VFloat split(const float* dy, const uint8_t* code, Size squares, float* parts) {
  const Size step = ceil_div(squares, W) * W;
  VFloat total(0.0f);
  for (Size s = 0; s < squares; s += W) {
    const Size lanes = std::min(W, squares - s);
    uint8_t few[W] = {};
    if (lanes < W) std::copy_n(code + s, lanes, few);
    const VFloat g = lanes == W ? VFloat::load(dy + s) : VFloat::load(dy + s, lanes);
    const auto from = squares::Codes<W>::load(lanes == W ? code + s : few);
    VFloat part[kCorners];
    MINIGRAD_UNROLL
    for (int c = 0; c < kCorners; ++c) {
      part[c] = squares::where_code(from, c, g);
      part[c].store(parts + c * step + s);
    }
    total += (part[0] + part[1]) + (part[2] + part[3]);
  }
  return total;
}

struct Sums {
  const float *field, *parts;    // parts: (O, kCorners, squares)
  const Size* offset[kCorners];  // in the Field, of each of the R taps
  Size squares;                  // rounded up to W
  float* sums;                   // += (O, R, W)
  Size channel;                  // step to the next output channel of the sums
};

// The products of R taps with the parts of dy of O output channels, summed over the squares of a band.
template <int O, int R>
void add_products(const Sums& s) {
  Vec acc[O][R] = {};
  for (int c = 0; c < kCorners; ++c) {
    const float *dy[O], *x[R];
    for (int o = 0; o < O; ++o) dy[o] = s.parts + (o * kCorners + c) * s.squares;
    for (int r = 0; r < R; ++r) x[r] = s.field + s.offset[c][r];
    for (Size p = 0; p < s.squares; p += W) {
      Vec part[O];
#pragma GCC unroll 4
      for (int o = 0; o < O; ++o) part[o] = load(dy[o] + p);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vec pixels = load(x[r] + p);
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o) acc[o][r] += part[o] * pixels;
      }
    }
  }
#pragma GCC unroll 4
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float* sum = s.sums + o * s.channel + r * W;
      (VFloat::load(sum) + VFloat(acc[o][r])).store(sum);
    }
}

template <int... I>
auto choose_products(Size outs, Size taps, std::integer_sequence<int, I...>) {
  static constexpr void (*table[])(const Sums&) = {&add_products<I / kSumTaps + 1, I % kSumTaps + 1>...};
  return table[(outs - 1) * kSumTaps + taps - 1];
}

// What some squares of an image give to the sums (outs, taps + 1, W); the last of each channel is db's.
void add_band(const Layer& l, const float* field, const float* dy, const uint8_t* code, Size squares, float* parts,
              float* sums) {
  const Size groups = ceil_div(l.taps, kSumTaps), step = ceil_div(squares, W) * W, channel = (l.taps + 1) * W;
  for (Size first = 0; first < l.outs; first += kSumOuts, sums += kSumOuts * channel) {
    const Size outs = std::min<Size>(kSumOuts, l.outs - first);
    for (Size o = 0; o < outs; ++o) {
      float* db = sums + o * channel + l.taps * W;
      const Size at = (first + o) * l.squares();
      (VFloat::load(db) + split(dy + at, code + at, squares, parts + o * kCorners * step)).store(db);
    }
    for (Size group = 0; group < groups; ++group) {
      const Size k = group * l.taps / groups, taps = (group + 1) * l.taps / groups - k;
      Sums s{field, parts, {}, step, sums + k * W, channel};
      for (int c = 0; c < kCorners; ++c) s.offset[c] = l.corner[c].data() + k;
      choose_products(outs, taps, std::make_integer_sequence<int, kSumOuts * kSumTaps>{})(s);
    }
  }
}

// Partial sums (outs, taps + 1) of images begin .. end.
void sum_images(const Layer& l, const float* x, const float* dy, const uint8_t* code, Size begin, Size end,
                float* partial) {
  const Size count = l.outs * (l.taps + 1), most = ceil_div(l.field.band * l.cols.out, W) * W;
  float* field = thread_scratch(l.field.size() + kSumOuts * kCorners * most + count * W);
  float *parts = field + l.field.size(), *sums = parts + kSumOuts * kCorners * most;
  std::fill_n(field, l.field.size(), 0.0f);
  std::fill_n(sums, count * W, 0.0f);
  for (Size image = begin; image < end; ++image)
    for (Size band = 0; band < l.field.bands(); ++band) {
      const Size row = band * l.field.band, rows = l.field.rows_of(band);
      fill(l.field, x + image * l.image(), l.ins, row, rows, field);
      const Size at = image * l.outs * l.squares() + row * l.cols.out;
      add_band(l, field, dy + at, code + at, rows * l.cols.out, parts, sums);
    }
  for (Size i = 0; i < count; ++i) partial[i] = sum(VFloat::load(sums + i * W));
}

}  // namespace

// y, code (n, out, ph, pw), x (n, in, h, w), w (out, in, kh, kw), bias (out)
void conv2d_relu_pool_forward(Out<float> y, Out<uint8_t> code, In<float> x, In<float> w, Maybe<In<float>> bias,
                              int64_t stride_h, int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h,
                              int64_t dil_w) {
  const Layer l = layer(y, code, x, w, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w);
  require(!bias || (bias.ndim == 1 && bias.shape[0] == l.outs), "expected bias (out,)");
  if (y.size == 0) return;
  const Scratch<float> packed(w.size);
  pack(l, w.data, packed.data());
  const Size bands = l.field.bands(), work = l.field.band * l.cols.out * kCorners * w.size;
  parallel_for(l.images * bands, kTaskWork / work, [&](Size begin, Size end) {
    float* field = thread_scratch(l.field.size());
    for (Size task = begin; task < end; ++task) {
      const Size image = task / bands, row = task % bands * l.field.band, rows = l.field.rows_of(task % bands);
      fill(l.field, x.data + image * l.image(), l.ins, row, rows, field);
      pool_band(l, packed.data(), bias.data, field, rows * l.cols.out, image * l.outs * l.squares() + row * l.cols.out,
                y.data, code.data);
    }
  });
}

// dw (out, in, kh, kw) and db (out) from dy and code (n, out, ph, pw) and x (n, in, h, w)
void conv2d_relu_pool_backward(Out<float> dw, Maybe<Out<float>> db, In<float> dy, In<uint8_t> code, In<float> x,
                               int64_t stride_h, int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h,
                               int64_t dil_w) {
  const Layer l = layer(dy, code, x, dw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w);
  require(!db || (db.ndim == 1 && db.shape[0] == l.outs), "expected db (out,)");
  const Size chunks = dy.size ? std::min(kChunks, l.images) : 0, count = l.outs * (l.taps + 1);
  const Scratch<float> partial(chunks * count);
  const Size work = l.images * l.squares() * kCorners * dw.size / std::max<Size>(1, chunks);
  parallel_for(chunks, kTaskWork / std::max<Size>(1, work), [&](Size begin, Size end) {
    for (Size chunk = begin; chunk < end; ++chunk)
      sum_images(l, x.data, dy.data, code.data, chunk * l.images / chunks, (chunk + 1) * l.images / chunks,
                 partial.data() + chunk * count);
  });
  for (Size i = 0; i < count; ++i) {
    double sum = 0;
    for (Size chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * count + i];
    const Size o = i / (l.taps + 1), k = i % (l.taps + 1);
    if (k < l.taps)
      dw.data[o * l.taps + k] = static_cast<float>(sum);
    else if (db)
      db.data[o] = static_cast<float>(sum);
  }
}

// dy (n, out, ph, pw) at its places among the outputs of the convolution, (n, out, oh, ow), zeros elsewhere
void conv2d_relu_pool_spread(Out<float> to, In<float> dy, In<uint8_t> code) {
  require(to.ndim == 4 && dy.ndim == 4 && to.shape[0] == dy.shape[0] && to.shape[1] == dy.shape[1],
          "expected two arrays of four dimensions, of as many planes");
  require_same_shape(code, dy, "code and dy");
  const Size h = to.shape[2], w = to.shape[3], rows = dy.shape[2], cols = dy.shape[3];
  require(2 * rows <= h && 2 * cols <= w, "expected squares that lie inside");
  parallel_for(to.shape[0] * to.shape[1], row_grain(h * w), [&](Size begin, Size end) {
    std::fill_n(to.data + begin * h * w, (end - begin) * h * w, 0.0f);
    for (Size row = begin * rows; row < end * rows; ++row)
      for (Size c = 0; c < cols; ++c) {
        const int from = code.data[row * cols + c];
        if (from < kCorners)
          to.data[(row / rows * h + row % rows * 2 + from / 2) * w + 2 * c + from % 2] = dy.data[row * cols + c];
      }
  });
}

}  // namespace minigrad
