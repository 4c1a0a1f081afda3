// The maximum of every window of x (planes, H, W), where it was found, and the way back. `index` counts h * W + w in a
// plane. The first of equal elements is found, the first NaN before any number, padding never.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

// Windows along one dimension: output o sees k elements, dilation apart, from o * stride - padding on.
struct Axis {
  Size size, outputs, kernel, stride, padding, dilation;
  Size start(Size o) const { return o * stride - padding; }
  // The first element of the kernel that lies inside, and the first after it that does not.
  Size first(Size o) const { return start(o) >= 0 ? 0 : (dilation - 1 - start(o)) / dilation; }
  Size last(Size o) const {
    return std::min(kernel, start(o) >= size ? 0 : (size - start(o) + dilation - 1) / dilation);
  }
  bool plain_pairs() const {
    return kernel == 2 && stride == 2 && padding == 0 && dilation == 1 && 2 * outputs <= size;
  }
  void check() const {
    constexpr Size most = Size{1} << 30;
    require(kernel > 0 && stride > 0 && dilation > 0 && padding >= 0, "expected a kernel, stride and dilation above 0");
    require(std::max({kernel, stride, dilation, padding, outputs}) < most, "a size of 2^30 or more");
    for (Size o = 0; o < outputs; ++o) require(first(o) < last(o), "a window holds no element of the input");
  }
};

// Outputs `begin` .. `end` of a row of a plane x; `best` and `at` hold one number for each of the row.
void pool_one_by_one(float* best, int64_t* at, const float* x, const Axis& h, const Axis& w, Size oh, Size begin,
                     Size end) {
  const Size top = h.first(oh), bottom = h.last(oh), above = h.start(oh);
  for (Size ow = begin; ow < end; ++ow) {
    const Size left = w.first(ow), right = w.last(ow), before = w.start(ow);
    Size place = (above + top * h.dilation) * w.size + before + left * w.dilation;
    float value = x[place];
    for (Size i = top; i < bottom; ++i) {
      const Size row = (above + i * h.dilation) * w.size + before;
      for (Size j = left; j < right; ++j) {
        const Size next = row + j * w.dilation;
        const bool wins = !(x[next] <= value) & (value == value);
        value = wins ? x[next] : value;
        place = wins ? next : place;
      }
    }
    best[ow] = value, at[ow] = place;
  }
}

constexpr int kMost = std::min(kLanes, 8), kLeast = std::min(kMost, 4);  // outputs at a time: pooled rows are short

// N elements, every one or every second. Nothing beyond the last is touched: the second half is loaded from one before.
template <int N, int stride, int... L>
MINIGRAD_INLINE Simd<float, N> load_apart(const float* x, std::integer_sequence<int, L...>) {
  const auto start = Simd<float, N>::load(x);
  if constexpr (stride == 1)
    return start;
  else
    return detail::shuffle(start, Simd<float, N>::load(x + N - 1),
                           std::integer_sequence<int, (L < N / 2 ? 2 * L : 2 * L + 1)...>{});
}

// The maxima of N windows so far, and where they stand; the first tap is at element `place` of the first window.
template <int N, int stride>
struct Best {
  using V = Simd<float, N>;
  using I = Simd<int32_t, N>;
  V value;
  I first, at;

  template <int... L>
  MINIGRAD_INLINE Best(V value, Size place, std::integer_sequence<int, L...>) : value(value) {
    const int32_t starts[] = {stride * L...};
    at = first = I::load(starts) + I(static_cast<int32_t>(place));
  }
  MINIGRAD_INLINE void meet(V next, Size away) {
    const I wins = (next > value) | (is_nan(next) & (value == value));
    value = select(wins, next, value);
    at = select(wins, first + I(static_cast<int32_t>(away)), at);
  }
  MINIGRAD_INLINE void store(float* y, int64_t* index) const {
    value.store(y);
    convert<int64_t>(at).store(index);
  }
};

// N windows side by side that lie inside to the left and to the right. They see `rows` rows, from element `place` on.
template <int N, int stride>
void pool_together(float* y, int64_t* index, const float* x, const Axis& h, const Axis& w, Size rows, Size place) {
  constexpr auto lanes = std::make_integer_sequence<int, N>{};
  const float* from = x + place;
  Best<N, stride> best(load_apart<N, stride>(from, lanes), place, lanes);
  for (Size i = 0; i < rows; ++i)
    for (Size j = i == 0; j < w.kernel; ++j) {
      const Size away = i * h.dilation * w.size + j * w.dilation;
      best.meet(load_apart<N, stride>(from + away, lanes), away);
    }
  best.store(y, index);
}

// N windows of 2 x 2, stride 2: each element is loaded once.
template <int N, int... L>
MINIGRAD_INLINE void pool_squares(float* y, int64_t* index, const float* x, Size width, Size place,
                                  std::integer_sequence<int, L...> lanes) {
  using V = Simd<float, N>;
  constexpr std::integer_sequence<int, 2 * L...> even;
  constexpr std::integer_sequence<int, 2 * L + 1 ...> odd;
  const float* from = x + place;
  const V a = V::load(from), b = V::load(from + N), c = V::load(from + width), d = V::load(from + width + N);
  Best<N, 2> best(detail::shuffle(a, b, even), place, lanes);
  best.meet(detail::shuffle(a, b, odd), 1);
  best.meet(detail::shuffle(c, d, even), width);
  best.meet(detail::shuffle(c, d, odd), width + 1);
  best.store(y, index);
}

template <int N>
void pool_row_of_squares(float* best, int64_t* at, const float* x, const Axis&, const Axis& w, Size oh) {
  for (Size ow = 0; ow < w.outputs; ow += N) {
    const Size o = std::min(ow, w.outputs - N), place = 2 * (oh * w.size + o);
    pool_squares<N>(best + o, at + o, x, w.size, place, std::make_integer_sequence<int, N>{});
  }
}

// A row of outputs. The last few of those inside are taken together with some before them, once more.
template <int N, int stride>
void pool_row(float* best, int64_t* at, const float* x, const Axis& h, const Axis& w, Size oh) {
  const Size begin = std::min(w.outputs, (w.padding + stride - 1) / stride);
  const Size room = w.size - (w.kernel - 1) * w.dilation + w.padding;  // starts are less than this, for those inside
  const Size end = std::clamp<Size>((room + stride - 1) / stride, begin, w.outputs);
  if (end - begin < N) return pool_one_by_one(best, at, x, h, w, oh, 0, w.outputs);
  const Size top = h.first(oh), rows = h.last(oh) - top, row = (h.start(oh) + top * h.dilation) * w.size;
  pool_one_by_one(best, at, x, h, w, oh, 0, begin);
  for (Size ow = begin; ow < end; ow += N) {
    const Size o = std::min(ow, end - N);
    pool_together<N, stride>(best + o, at + o, x, h, w, rows, row + w.start(o));
  }
  pool_one_by_one(best, at, x, h, w, oh, end, w.outputs);
}

void pool_row_plainly(float* best, int64_t* at, const float* x, const Axis& h, const Axis& w, Size oh) {
  pool_one_by_one(best, at, x, h, w, oh, 0, w.outputs);
}

auto choose_row(const Axis& h, const Axis& w) {
  if (w.stride > 2 || h.size * w.size > INT32_MAX || w.outputs < kLeast) return &pool_row_plainly;
  const bool twos = w.stride == 2;
  if (h.plain_pairs() && w.plain_pairs())
    return w.outputs < kMost ? &pool_row_of_squares<kLeast> : &pool_row_of_squares<kMost>;
  if (w.outputs < kMost) return twos ? &pool_row<kLeast, 2> : &pool_row<kLeast, 1>;
  return twos ? &pool_row<kMost, 2> : &pool_row<kMost, 1>;
}

}  // namespace

void max_pool2d_forward(Out<float> y, Out<int64_t> index, In<float> x, int64_t kh, int64_t kw, int64_t sh, int64_t sw,
                        int64_t ph, int64_t pw, int64_t dh, int64_t dw) {
  require(x.ndim == 3 && y.ndim == 3 && x.shape[0] == y.shape[0], "expected arrays of shape (planes, H, W)");
  require_same_shape(index, y, "index and y");
  const Axis h{x.shape[1], y.shape[1], kh, sh, ph, dh}, w{x.shape[2], y.shape[2], kw, sw, pw, dw};
  if (!y.size) return;
  h.check(), w.check();
  const Size from = h.size * w.size, to = h.outputs * w.outputs;
  const auto pool = choose_row(h, w);
  parallel_for(x.shape[0], row_grain(std::max(from, to * kh * kw / (pool == &pool_row_plainly ? 1 : 4))),
               [&](Size begin, Size end) {
                 for (Size p = begin; p < end; ++p)
                   for (Size oh = 0; oh < h.outputs; ++oh) {
                     const Size row = p * to + oh * w.outputs;
                     pool(y.data + row, index.data + row, x.data + p * from, h, w, oh);
                   }
               });
}

void max_pool2d_backward(Out<float> dx, In<float> dy, In<int64_t> index) {
  require(dx.ndim == 3 && dy.ndim == 3 && dx.shape[0] == dy.shape[0], "expected arrays of shape (planes, H, W)");
  require_same_shape(index, dy, "index and dy");
  if (!dx.size) return require(dy.size == 0, "an index out of range");
  const Size planes = dx.shape[0], to = dx.size / planes, from = dy.size / planes;
  parallel_for(planes, row_grain(std::max(to, from)), [&](Size begin, Size end) {
    for (Size p = begin; p < end; ++p) {
      float* plane = dx.data + p * to;
      std::fill_n(plane, to, 0.0f);
      for (Size i = p * from; i < (p + 1) * from; ++i) {
        const auto place = static_cast<uint64_t>(index.data[i]);
        require(place < static_cast<uint64_t>(to), "an index out of range");
        plane[place] += dy.data[i];
      }
    }
  });
}

}  // namespace minigrad
