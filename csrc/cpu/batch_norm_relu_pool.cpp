// y = the maximum of relu(batch_norm(x)) over squares of 2 x 2, for x (n, c, h, w): nothing between is ever written.
//
// Forward: the moments (batch_norm.h), then all planes again, two rows at a time. Backward: only the maxima (squares.h)
// have a gradient, but all of x has that of its mean and variance.

#include <algorithm>

#include "cpu/batch_norm.h"
#include "cpu/kernels.h"
#include "cpu/squares.h"

namespace minigrad {
namespace {

using squares::Codes;
using squares::kCorners;
constexpr int kMost = std::min(kLanes, 8);  // squares at a time: pooled rows are short
constexpr Size kChunks = 16;                // tasks wanted where there is work for them

// N squares side by side, corner by corner, from two rows; the other half of a row lies `other` after the first. The
// lanes are in the order of squares::part.
template <int N>
struct Square {
  using V = Simd<float, N>;
  V corner[kCorners];

  MINIGRAD_INLINE Square(const float* above, const float* below, Size other) {
    split(above, other, corner[0], corner[1]), split(below, other, corner[2], corner[3]);
  }
  MINIGRAD_INLINE void store(float* above, float* below, Size other) const {
    join(corner[0], corner[1], above, other), join(corner[2], corner[3], below, other);
  }

 private:
  MINIGRAD_INLINE static void split(const float* from, Size other, V& even, V& odd) {
    if constexpr (N == 1)
      even = V(from[0]), odd = V(from[other]);
    else
      squares::part(V::load(from), V::load(from + other), even, odd, std::make_integer_sequence<int, N>{});
  }
  MINIGRAD_INLINE static void join(V even, V odd, float* to, Size other) {
    V a = even, b = odd;
    if constexpr (N > 1) squares::join(even, odd, a, b);
    a.store(to), b.store(to + other);
  }
};

struct Images {
  batch::Shape k;  // (n, c, h w)
  Size h, w, rows, cols;

  Size plane(Size image, Size channel) const { return (image * k.c + channel) * k.s; }
  Size pooled(Size image, Size channel) const { return (image * k.c + channel) * rows * cols; }
};

template <class X, class Y, class Code>
Images images(const X& x, const Y& y, const Code& code, Size mean, Size var) {
  require(x.ndim == 4 && y.ndim == 4, "expected x and y of four dimensions");
  require_same_shape(code, y, "code and y");
  const Images i{{x.shape[0], x.shape[1], x.shape[2] * x.shape[3]}, x.shape[2], x.shape[3], y.shape[2], y.shape[3]};
  require(y.shape[0] == i.k.n && y.shape[1] == i.k.c && i.rows == i.h / 2 && i.cols == i.w / 2,
          "expected x (n, c, h, w) and y (n, c, h / 2, w / 2)");
  require(mean == i.k.c && var == i.k.c, "expected mean and var of shape (c,)");
  return i;
}

// f(std::integral_constant<int, N>, place in the plane, other half, place in the pooled plane) for N squares at a time.
template <int N = kMost, class F>
MINIGRAD_INLINE void for_row(const Images& i, Size row, Size from, const F& f) {
  for (; from + N <= i.cols; from += N)
    f(std::integral_constant<int, N>{}, 2 * (row * i.w + from), Size{N}, row * i.cols + from);
  if constexpr (N > 1) for_row<(N > 4 ? 4 : 1)>(i, row, from, f);
}
template <class F>
MINIGRAD_INLINE void for_squares(const Images& i, const F& f) {
  Size row = 0;
  if (2 * i.cols == kMost)  // short rows: two at a time
    for (; row + 2 <= i.rows; row += 2) f(std::integral_constant<int, kMost>{}, 2 * row * i.w, 2 * i.w, row * i.cols);
  for (; row < i.rows; ++row) for_row(i, row, 0, f);
}

// A channel's line: (x - mean) scale + bias.
struct Line {
  float mean, scale, bias;
};

void pool_plane(const Images& i, const float* x, const Line line, float* y, uint8_t* code) {
  for_squares(i, [=](auto n, Size at, Size other, Size to) {
    using V = Simd<float, n()>;
    const Square<n()> s(x + at, x + i.w + at, other);
    const auto value = [&](V v) { return (v - V(line.mean)) * V(line.scale) + V(line.bias); };
    const auto best =
        squares::winner<true>(value(s.corner[0]), value(s.corner[1]), value(s.corner[2]), value(s.corner[3]));
    squares::in_order(best.value).store(y + to), best.code.store(code + to);
  });
}

// Adds the sums of dy and of dy (x - mean) over the maxima of a plane, lane by lane, to sums (2, kMost).
void sum_plane(const Images& i, const float* x, float mean, const float* dy, const uint8_t* code, float* sums) {
  Simd<float, kMost> level(0.0f), product(0.0f);
  for_squares(i, [&](auto n, Size at, Size other, Size from) {
    using V = Simd<float, n()>;
    const Square<n()> s(x + at, x + i.w + at, other);
    const auto where = Codes<n(), true>::load(code + from);
    const V all = squares::in_order(V::load(dy + from));
    V g(0.0f), gx(0.0f);
    MINIGRAD_UNROLL
    for (int c = 0; c < kCorners; ++c) {
      const V part = squares::where_code(where, c, all);
      g += part, gx += part * (s.corner[c] - V(mean));
    }
    if constexpr (n() == kMost)
      level += g, product += gx;
    else
      sums[0] += sum(g), sums[kMost] += sum(gx);
  });
  (Simd<float, kMost>::load(sums) + level).store(sums);
  (Simd<float, kMost>::load(sums + kMost) + product).store(sums + kMost);
}

// Those of whole channels.
struct Sums {
  const Size chunks, c;
  const Scratch<float> parts;  // (chunks, c, 2, kMost)

  Sums(const Images& i, const float* x, const float* mean, const float* dy, const uint8_t* code)
      : chunks(std::min(kChunks, i.k.n)), c(i.k.c), parts(chunks * c * 2 * kMost) {
    std::fill_n(parts.data(), chunks * c * 2 * kMost, 0.0f);
    const Size splits = std::min(c, kChunks / std::max<Size>(1, chunks));  // of the channels, where images are few
    const Size work = i.k.n * c * i.k.s / std::max<Size>(1, chunks * splits);
    parallel_for(chunks * splits, row_grain(work), [&](Size begin, Size end) {
      for (Size task = begin; task < end; ++task) {
        const Size chunk = task / splits, split = task % splits;
        for (Size n = chunk * i.k.n / chunks; n < (chunk + 1) * i.k.n / chunks; ++n)
          for (Size ch = split * c / splits; ch < (split + 1) * c / splits; ++ch)
            sum_plane(i, x + i.plane(n, ch), mean[ch], dy + i.pooled(n, ch), code + i.pooled(n, ch),
                      parts.data() + (chunk * c + ch) * 2 * kMost);
      }
    });
  }
  double sum(int which, Size channel) const {
    double total = 0;
    for (Size chunk = 0; chunk < chunks; ++chunk)
      for (int l = 0; l < kMost; ++l) total += parts[((chunk * c + channel) * 2 + which) * kMost + l];
    return total;
  }
};

// dx = scale (g - shift - (x - mean) slope), where g is dy at the maxima and 0 elsewhere.
struct Slope {
  float mean, scale, shift, slope;

  template <class V>
  MINIGRAD_INLINE V at(V g, V x) const {
    return V(scale) * (g - V(shift) - (x - V(mean)) * V(slope));
  }
  void rest(const float* x, float* dx, Size count) const {
    for (Size c = 0; c < count; ++c) dx[c] = at(Simd<float, 1>(0.0f), Simd<float, 1>(x[c])).v;
  }
};

void spread_plane(const Images& i, const float* x, const Slope slope, const float* dy, const uint8_t* code, float* dx) {
  for_squares(i, [=](auto n, Size at, Size other, Size from) {
    using V = Simd<float, n()>;
    Square<n()> s(x + at, x + i.w + at, other);
    const auto where = Codes<n(), true>::load(code + from);
    const V all = squares::in_order(V::load(dy + from));
    MINIGRAD_UNROLL
    for (int c = 0; c < kCorners; ++c) s.corner[c] = slope.at(squares::where_code(where, c, all), s.corner[c]);
    s.store(dx + at, dx + i.w + at, other);
  });
  const Size done = 2 * i.cols;
  for (Size r = 0; r < 2 * i.rows && done < i.w; ++r) slope.rest(x + r * i.w + done, dx + r * i.w + done, i.w - done);
  slope.rest(x + 2 * i.rows * i.w, dx + 2 * i.rows * i.w, (i.h - 2 * i.rows) * i.w);
}

template <class F>
void for_planes(const Images& i, const F& f) {
  parallel_for(i.k.n * i.k.c, row_grain(i.k.s), [&](Size begin, Size end) {
    for (Size plane = begin; plane < end; ++plane) f(plane / i.k.c, plane % i.k.c);
  });
}

}  // namespace

// y, code (n, c, h / 2, w / 2), x (n, c, h, w), all else (c)
void batch_norm_relu_pool_forward(Out<float> y, Out<uint8_t> code, Out<float> mean, Out<float> var, In<float> x,
                                  Maybe<In<float>> weight, Maybe<In<float>> bias, double eps) {
  const Images i = images(x, y, code, mean.size, var.size);
  require((!weight || weight.size == i.k.c) && (!bias || bias.size == i.k.c), "expected weight and bias of shape (c,)");
  batch::moments(i.k, x.data, mean.data, var.data);
  const Scratch<Line> lines(i.k.c);
  for (Size c = 0; c < i.k.c; ++c)
    lines[c] = {mean.data[c], batch::scale_of(var.data, weight.data, eps, c), bias ? bias.data[c] : 0.0f};
  for_planes(i, [&](Size n, Size c) {
    pool_plane(i, x.data + i.plane(n, c), lines[c], y.data + i.pooled(n, c), code.data + i.pooled(n, c));
  });
}

void batch_norm_relu_pool_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy,
                                   In<uint8_t> code, In<float> x, Maybe<In<float>> weight, In<float> mean,
                                   In<float> var, double eps) {
  const Images i = images(x, dy, code, mean.size, var.size);
  require_same_shape(dx, x, "dx and x");
  require(!weight || weight.size == i.k.c, "expected a weight of shape (c,)");
  require((!dw || dw.size == i.k.c) && (!db || db.size == i.k.c), "expected dw and db of shape (c,)");
  const Sums sums(i, x.data, mean.data, dy.data, code.data);
  const Scratch<Slope> slopes(i.k.c);
  for (Size c = 0; c < i.k.c; ++c) {
    const double square = var.data[c] + eps, level = sums.sum(0, c), product = sums.sum(1, c);
    const double count = static_cast<double>(i.k.count());
    if (db) db.data[c] = static_cast<float>(level);
    if (dw) dw.data[c] = static_cast<float>(product / std::sqrt(square));
    slopes[c] = {mean.data[c], batch::scale_of(var.data, weight.data, eps, c), static_cast<float>(level / count),
                 static_cast<float>(product / square / count)};
  }
  for_planes(i, [&](Size n, Size c) {
    const Size from = i.pooled(n, c);
    spread_plane(i, x.data + i.plane(n, c), slopes[c], dy.data + from, code.data + from, dx.data + i.plane(n, c));
  });
}

}  // namespace minigrad
