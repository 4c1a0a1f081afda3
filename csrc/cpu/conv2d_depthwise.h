// Convolution of channels that do not see each other: a plane of y is a plane of x, shifted tap by tap and weighted.
//
// A plane is copied into a frame of zeros that all its windows lie in, with the columns of one remainder by the step
// side by side. Then every tap is a run of the frame for each row of y. There is nothing to be shared between planes,
// so each is read once, and its frame stays in the nearest cache. The Axes are those of conv2d_field.h.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/conv2d_inner.h"
#include "cpu/conv2d_sweep.h"

namespace minigrad::conv::depthwise {

constexpr Size kRowsAtOnce = 4;
constexpr int kSums = 9;  // taps summed at a time

// Whether a plane of this area is one of its group's only one in and only one out, and fits into the caches.
inline bool pays(Size ins, Size outs, Size area) { return ins == 1 && outs == 1 && 0 < area && area <= kFieldSize; }

struct Frame {
  Axis rows, cols;
  Size height, pitch, line;                       // rows; columns of one remainder; from row to row
  std::vector<Size> offset;                       // of each tap, for the first output
  Size step() const { return rows.step * line; }  // to the next row of outputs
  Size size() const { return height * line + W; }

  Frame(const Axis& rows, const Axis& cols) : rows(rows), cols(cols) {
    height = (rows.out - 1) * rows.step + rows.reach() + 1;
    pitch = cols.out + cols.reach() / cols.step;
    line = cols.step * pitch;
    for (const Size i : rows.shift)
      for (const Size j : cols.shift) {
        const Size column = j - cols.low();
        offset.push_back((i - rows.low()) * line + column % cols.step * pitch + column / cols.step);
      }
  }

  // Copies a plane into a frame of zeros.
  void fill(const float* x, float* to) const {
    const Size top = std::max<Size>(0, rows.low()), bottom = std::min(rows.in, rows.low() + height);
    for (Size remainder = 0; remainder < cols.step; ++remainder) {
      const Size shift = cols.low() + remainder;  // the column of x that the remainder begins with
      const Size begin = std::max<Size>(0, ceil_div(-shift, cols.step));
      const Size end = std::min(pitch, ceil_div(cols.in - shift, cols.step));
      for (Size r = top; r < bottom && begin < end; ++r)
        copy_apart(to + (r - rows.low()) * line + remainder * pitch + begin,
                   x + r * cols.in + shift + begin * cols.step, end - begin);
    }
  }

 private:
  void copy_apart(float* to, const float* from, Size n) const {
    if (cols.step == 1) return copy(to, from, n);
    if (cols.step == 2) return copy_even(to, from, n);
    for (Size i = 0; i < n; ++i) to[i] = from[i * cols.step];
  }
};

// R rows of outputs from `frame` on.
template <int R>
void weigh_rows(const Frame& f, const float* w, float bias, const float* frame, float* y) {
  const Size n = f.cols.out, step = f.step();
  for (Size i = 0; i < n; i += W) {
    const Size at = std::max<Size>(0, std::min(i, n - W));
    Vec acc[R];
    for (int r = 0; r < R; ++r) acc[r] = VFloat(bias).v;
    for (size_t k = 0; k < f.offset.size(); ++k) {
      const Vec weight = VFloat(w[k]).v;
      const float* x = frame + f.offset[k] + at;
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[r] += weight * load(x + r * step);
    }
    for (int r = 0; r < R; ++r) n < W ? VFloat(acc[r]).store(y + r * n, n) : VFloat(acc[r]).store(y + r * n + at);
  }
}

// The last few rows are taken together with some before them, once more.
inline void weigh(const Frame& f, const float* w, float bias, const float* frame, float* y) {
  const Size rows = f.rows.out, n = f.cols.out;
  if (rows < kRowsAtOnce) {
    for (Size r = 0; r < rows; ++r) weigh_rows<1>(f, w, bias, frame + r * f.step(), y + r * n);
    return;
  }
  for (Size i = 0; i < rows; i += kRowsAtOnce) {
    const Size r = std::min(i, rows - kRowsAtOnce);
    weigh_rows<kRowsAtOnce>(f, w, bias, frame + r * f.step(), y + r * n);
  }
}

inline void correlate(const Correlation& c) {
  const Frame f(c.rows, c.cols);
  const Size taps = static_cast<Size>(f.offset.size()), work = std::max(c.x_area(), c.y_area() * taps / 4);
  parallel_for(c.images * c.groups, row_grain(work), [&](Size begin, Size end) {
    float* frame = thread_scratch(f.size() + taps);
    float* w = frame + f.size();
    std::fill_n(frame, f.size(), 0.0f);
    for (Size plane = begin; plane < end; ++plane) {
      const Size group = plane % c.groups;
      float* to = w;
      for (const Size i : c.rows.tap)
        for (const Size j : c.cols.tap) *to++ = c.w[group * c.w_group + i * c.w_row + j];
      f.fill(c.x + plane * c.x_area(), frame);
      weigh(f, w, c.bias ? c.bias[group] : 0.0f, frame, c.y + plane * c.y_area());
    }
  });
}

// Adds the products of a plane of dy with R taps, lane by lane, to sums (R, W).
template <int R>
void add_taps(const Frame& f, const Size* offset, const float* frame, const float* dy, float* sums) {
  Vec acc[R];
  for (int t = 0; t < R; ++t) acc[t] = load(sums + t * W);
  for (Size r = 0; r < f.rows.out; ++r, frame += f.step(), dy += f.cols.out) {
    Size i = 0;
    for (; i + W <= f.cols.out; i += W) {
      const Vec g = load(dy + i);
#pragma GCC unroll 16
      for (int t = 0; t < R; ++t) acc[t] += g * load(frame + offset[t] + i);
    }
    const Size rest = f.cols.out - i;
    if (rest == 0) continue;
    const Vec g = VFloat::load(dy + i, rest).v;
#pragma GCC unroll 16
    for (int t = 0; t < R; ++t) acc[t] += g * VFloat::load(frame + offset[t] + i, rest).v;
  }
#pragma GCC unroll 16
  for (int t = 0; t < R; ++t) VFloat(acc[t]).store(sums + t * W);
}

template <int... R>
auto choose_taps(Size taps, std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Frame&, const Size*, const float*, const float*,
                                   float*) = {&add_taps<R + 1>...};
  return table[taps - 1];
}

inline void add_plane(const Frame& f, const float* frame, const float* dy, float* sums) {
  const Size taps = static_cast<Size>(f.offset.size()), parts = ceil_div(taps, kSums);
  for (Size part = 0; part < parts; ++part) {
    const Size first = part * taps / parts, count = (part + 1) * taps / parts - first;
    choose_taps(count, std::make_integer_sequence<int, kSums>{})(f, f.offset.data() + first, frame, dy,
                                                                 sums + first * W);
  }
  inner::add_level(dy, f.rows.out * f.cols.out, sums + taps * W);
}

// dw (groups, taps) and db (groups), from partial sums (chunks of images, groups, taps + 1).
inline void weight_gradient(const WeightGradient& g, float* dw, float* db) {
  const Frame f(g.rows, g.cols);
  const Size taps = static_cast<Size>(f.offset.size()), chunks = std::min(kChunks, g.images);
  const Scratch<float> partial(chunks * g.groups * (taps + 1));
  const Size work = ceil_div(g.images, chunks) * std::max(g.rows.in * g.cols.in, g.area() * taps / 4);
  parallel_for(chunks * g.groups, row_grain(work), [&](Size begin, Size end) {
    float* frame = thread_scratch(f.size() + (taps + 1) * W);
    float* sums = frame + f.size();
    std::fill_n(frame, f.size(), 0.0f);
    for (Size task = begin; task < end; ++task) {
      const Size chunk = task / g.groups, group = task % g.groups;
      std::fill_n(sums, (taps + 1) * W, 0.0f);
      for (Size image = chunk * g.images / chunks; image < (chunk + 1) * g.images / chunks; ++image) {
        const Size plane = image * g.groups + group;
        f.fill(g.x + plane * g.rows.in * g.cols.in, frame);
        add_plane(f, frame, g.dy + plane * g.area(), sums);
      }
      for (Size k = 0; k <= taps; ++k) partial[task * (taps + 1) + k] = sum(VFloat::load(sums + k * W));
    }
  });
  inner::combine(partial.data(), chunks, g.groups, taps, dw, db);
}

}  // namespace minigrad::conv::depthwise
