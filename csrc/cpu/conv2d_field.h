// What a convolution reads: the input copied so that every tap's contribution to the outputs is one run of memory.
//
// A Field holds, for some images and channels, one copy of the input per column tap: shifted, cut to the width of the
// output, zeros around it. All that tap k = (channel, row, column) brings to the outputs then lies side by side, from
// offset[k] on. A stride only sorts the rows by remainder, padding and dilation only change offsets, so one path serves
// all parameters. Images are taken a few at a time, or a band of rows, and channels in slices: a Field stays in cache.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/simd.h"

namespace minigrad::conv {

constexpr Size W = VFloat::lanes;
constexpr Size kDepth = 640;                // taps of a slice, at most: what a tile reads stays in the nearer caches
constexpr Size kFieldSize = Size{1} << 16;  // floats that a Field should not exceed
constexpr Size kChunks = 16;                // tasks wanted where there is work for them
constexpr Size kTaskWork = Size{1} << 18;   // multiplications that make a task worth a thread's while

using Vec = VFloat::Vec;  // bare vectors: every accumulator must live in a register

inline Vec load(const float* p) { return VFloat::load(p).v; }

inline Size ceil_div(Size a, Size b) { return (a + b - 1) / b; }

struct Window {
  Size taps, stride, pad, dilation;
};

// Rows or columns: out[o] = sum over t of weight tap[t] times in[o * step + shift[t]], which is zero outside.
struct Axis {
  Size in, out, step;
  std::vector<Size> shift, tap;

  Size taps() const { return static_cast<Size>(shift.size()); }
  Size low() const { return *std::min_element(shift.begin(), shift.end()); }
  Size reach() const { return *std::max_element(shift.begin(), shift.end()) - low(); }
};

inline Axis forward_axis(Size in, Size out, const Window& w) {
  Axis axis{in, out, w.stride, {}, {}};
  for (Size t = 0; t < w.taps; ++t) axis.shift.push_back(t * w.dilation - w.pad), axis.tap.push_back(t);
  return axis;
}

// The gradient of input positions first, first + stride, ...: from the outputs whose windows reach them.
inline Axis backward_axis(Size in, Size out, const Window& w, Size first) {
  Axis axis{out, ceil_div(in - first, w.stride), 1, {}, {}};
  for (Size t = 0; t < w.taps; ++t) {
    const Size distance = first + w.pad - t * w.dilation;
    if (distance % w.stride == 0) axis.shift.push_back(distance / w.stride), axis.tap.push_back(t);
  }
  return axis;
}

struct Field {
  Axis rows, cols;
  Size images, band, channels;  // held at a time, at most: images, output rows of an image, channels
  Size lines;                   // rows of one remainder
  Size plane, channel, image;   // steps to the next column tap, channel, image
  bool in_place;                // the input itself serves
  std::vector<Size> offset;     // of each k

  Size taps() const { return rows.taps() * cols.taps(); }
  Size bands() const { return ceil_div(rows.out, band); }
  Size rows_of(Size b) const { return std::min(band, rows.out - b * band); }
  Size size() const { return in_place ? 0 : images * image + W; }
};

// For bands or whole images of about `pixels` pixels, at most `images` of them.
inline Field make_field(const Axis& rows, const Axis& cols, Size channels, Size images, Size pixels) {
  Field f{rows, cols, 1, rows.out, 0, 0, 0, 0, 0, false, {}};
  f.channels = std::max<Size>(1, ceil_div(channels, std::max<Size>(1, ceil_div(channels * f.taps(), kDepth))));
  const Size floats = f.channels * cols.taps() * rows.step * cols.out;  // for one output row
  const Size most = std::clamp<Size>(std::min(kFieldSize / floats, pixels / cols.out), 1, rows.out);
  f.band = ceil_div(rows.out, ceil_div(rows.out, most));
  f.lines = ceil_div((f.band - 1) * rows.step + rows.reach() + 1, rows.step);
  f.plane = f.lines * rows.step * cols.out;
  f.in_place = f.taps() == 1 && rows.step == 1 && cols.step == 1 && rows.in == rows.out && cols.in == cols.out &&
               rows.shift[0] == 0 && cols.shift[0] == 0 && f.rows_of(f.bands() - 1) * cols.out >= W;
  f.channel = f.in_place ? rows.in * cols.in : cols.taps() * f.plane;
  f.image = f.channels * f.channel;
  if (f.bands() == 1)
    f.images = std::max<Size>(1, std::min({kFieldSize / f.image, pixels / (rows.out * cols.out), images}));
  for (Size c = 0; c < f.channels; ++c)
    for (const Size shift : rows.shift)
      for (Size j = 0; j < cols.taps(); ++j) {
        const Size row = shift - rows.low(), line = row % rows.step * f.lines + row / rows.step;
        f.offset.push_back(c * f.channel + (f.in_place ? 0 : j * f.plane + line * cols.out));
      }
  return f;
}

inline void copy(float* to, const float* from, Size n) {
  if (n < W) {
    for (Size i = 0; i < n; ++i) to[i] = from[i];
    return;
  }
  for (Size i = 0; i < n; i += W) {
    const Size at = std::min(i, n - W);
    VFloat::load(from + at).store(to + at);
  }
}

// to[i] = from[2 * i]. The last vector is loaded from an odd place, so that nothing beyond from[2 * n - 2] is touched.
template <int... L>
void copy_even(float* to, const float* from, Size n, std::integer_sequence<int, L...>) {
  constexpr Size half = W / 2;
  for (Size i = 0; i < n; i += W) {
    const Size at = std::min(i, n - W);
    const VFloat low = VFloat::load(from + 2 * at), high = VFloat::load(from + 2 * at + W - 1);
    detail::shuffle(low, high, std::integer_sequence<int, (L < half ? 2 * L : 2 * L + 1)...>{}).store(to + at);
  }
}
inline void copy_even(float* to, const float* from, Size n) {
  if (n >= W && W > 1) return copy_even(to, from, n, std::make_integer_sequence<int, W>{});
  for (Size i = 0; i < n; ++i) to[i] = from[2 * i];
}

// The outputs o of a row for which in[o * step + shift] exists: lo <= o < hi.
struct Span {
  Size lo, hi;
  Span(const Axis& cols, Size shift)
      : lo(std::clamp<Size>(ceil_div(-shift, cols.step), 0, cols.out)),
        hi(std::clamp<Size>(ceil_div(cols.in - shift, cols.step), lo, cols.out)) {}
};

inline void fill_row(float* to, const float* x, const Axis& cols, Size shift, Span span) {
  std::fill_n(to, span.lo, 0.0f);
  if (cols.step == 1)
    copy(to + span.lo, x + span.lo + shift, span.hi - span.lo);
  else if (cols.step == 2)
    copy_even(to + span.lo, x + 2 * span.lo + shift, span.hi - span.lo);
  else
    for (Size i = span.lo; i < span.hi; ++i) to[i] = x[i * cols.step + shift];
  std::fill(to + span.hi, to + cols.out, 0.0f);
}

// All rows at once where they are as wide in x as in the Field: they are one run, but for the zeros at the edges.
inline void fill_rows(float* to, const float* x, Size rows, const Axis& cols, Size shift, Span span) {
  const Size n = rows * cols.out, begin = std::min(n, std::max<Size>(0, -shift));
  copy(to + begin, x + begin + shift, std::max<Size>(0, std::min(n, n - shift) - begin));
  for (Size i = 0; i < cols.out; ++i)
    for (Size r = 0; r < rows && (i < span.lo || i >= span.hi); ++r) to[r * cols.out + i] = 0.0f;
}

// What `count` output rows from `first` on need of `channels` channels of an image.
inline void fill(const Field& f, const float* x, Size channels, Size first, Size count, float* to) {
  const Axis &rows = f.rows, &cols = f.cols;
  const Size top = first * rows.step + rows.low(), height = (count - 1) * rows.step + rows.reach() + 1;
  const Size begin = std::clamp<Size>(-top, 0, height), end = std::clamp<Size>(rows.in - top, begin, height);
  const bool run = rows.step == 1 && cols.step == 1 && cols.in == cols.out;
  const auto place = [&](Size r) { return to + (r % rows.step * f.lines + r / rows.step) * cols.out; };
  for (Size c = 0; c < channels; ++c, x += rows.in * cols.in)
    for (const Size shift : cols.shift) {
      const Span span(cols, shift);
      for (Size r = 0; r < begin; ++r) std::fill_n(place(r), cols.out, 0.0f);
      if (run)
        fill_rows(place(begin), x + (top + begin) * cols.in, end - begin, cols, shift, span);
      else
        for (Size r = begin; r < end; ++r) fill_row(place(r), x + (top + r) * cols.in, cols, shift, span);
      for (Size r = end; r < height; ++r) std::fill_n(place(r), cols.out, 0.0f);
      to += f.plane;
    }
}

}  // namespace minigrad::conv
