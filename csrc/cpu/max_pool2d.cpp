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

// A row of outputs; `best` and `at` hold one number for each.
void pool_row(float* best, int64_t* at, const float* x, const Axis& h, const Axis& w, Size oh) {
  const Size top = h.first(oh), bottom = h.last(oh), above = h.start(oh);
  for (Size ow = 0; ow < w.outputs; ++ow) {
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

constexpr int kPairs = std::min(kLanes, 8);  // outputs at a time: rows of pooled images are short
using V = Simd<float, kPairs>;
using I = Simd<int32_t, kPairs>;

template <int... L>
void even_and_odd(const float* x, V& even, V& odd, std::integer_sequence<int, L...> lanes) {
  const V a = V::load(x), b = V::load(x + kPairs);
  even = detail::shuffle(a, b, std::integer_sequence<int, 2 * L...>{});
  odd = detail::shuffle(a, b, std::integer_sequence<int, 2 * L + 1 ...>{});
  (void)lanes;
}

// kPairs windows of 2 x 2 side by side, from `x` on, which is element `place` of the plane.
void pool_squares(float* best, int64_t* at, const float* x, Size width, Size place) {
  constexpr auto lanes = std::make_integer_sequence<int, kPairs>{};
  V value, right, below, across;
  even_and_odd(x, value, right, lanes);
  even_and_odd(x + width, below, across, lanes);
  int32_t corner[kPairs];
  for (int l = 0; l < kPairs; ++l) corner[l] = static_cast<int32_t>(place) + 2 * l;
  I from = I::load(corner);
  const I first = from;
  const auto meet = [&](V next, Size away) {
    const I wins = (next > value) | (is_nan(next) & (value == value));
    value = select(wins, next, value);
    from = select(wins, first + I(static_cast<int32_t>(away)), from);
  };
  meet(right, 1), meet(below, width), meet(across, width + 1);
  value.store(best);
  convert<int64_t>(from).store(at);
}

// The last few windows of a row are taken together with some before them, once more.
void pool_row_of_squares(float* best, int64_t* at, const float* x, const Axis& w, Size oh) {
  for (Size ow = 0; ow < w.outputs; ow += kPairs) {
    const Size o = std::min(ow, w.outputs - kPairs), place = 2 * oh * w.size + 2 * o;
    pool_squares(best + o, at + o, x + place, w.size, place);
  }
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
  const bool squares = h.plain_pairs() && w.plain_pairs() && w.outputs >= kPairs && from <= INT32_MAX;
  parallel_for(x.shape[0], row_grain(std::max(from, to * (squares ? 1 : kh * kw))), [&](Size begin, Size end) {
    for (Size p = begin; p < end; ++p)
      for (Size oh = 0; oh < h.outputs; ++oh) {
        float* best = y.data + p * to + oh * w.outputs;
        int64_t* at = index.data + p * to + oh * w.outputs;
        if (squares)
          pool_row_of_squares(best, at, x.data + p * from, w, oh);
        else
          pool_row(best, at, x.data + p * from, h, w, oh);
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
