// The linear layer on weights that are narrower than float. Where few rows of x come in, all the time goes into reading
// the weights, which become floats in registers. For many rows a block of them is written out as floats that stay in
// the cache, and multiplied by gemm.h.
#pragma once

#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/halves.h"
#include "cpu/memory.h"

namespace minigrad {

template <class W>
class NarrowLinear {
 public:
  Size rows, in, out;
  float* y;                      // (rows, out)
  const float* x;                // (rows, in)
  const W* w;                    // (out, in)
  const float* bias;             // (out) or null
  const float* scale = nullptr;  // (out), of the rows of w, or null

  void run() const { rows <= kFewRows ? run_few() : run_many(); }

 private:
  static constexpr Size kFewRows = 16;
  static constexpr Size kGroup = 4;      // rows of x that share the widening of a weight
  static constexpr Size kBlock = 65536;  // weights of a block: as floats they stay in the second-level cache

  void run_few() const {
    const Scratch<float> turned(halves::kTurned<W> ? rows * in : 0);
    for (Size i = 0; halves::kTurned<W> && i < rows; ++i) halves::order_run(turned.data() + i * in, x + i * in, in);
    const float* ordered = halves::kTurned<W> ? turned.data() : x;
    parallel_for(out, row_grain(in), [&](Size begin, Size end) { multiply_few(ordered, begin, end); });
  }
  void run_many() const {
    const Size block = std::max<Size>(16, kBlock / std::max<Size>(1, in));
    parallel_for(out, block, [&](Size begin, Size end) { multiply_many(begin, end); });
  }

  // Scalar products of R rows of x with one row of w: sums (R). `ordered` is x in the order of load_run.
  template <int R>
  static void dots(Size k, const float* x, const float* ordered, const W* w, float* sums) {
    constexpr int U = R == 1 ? 4 : 2;  // enough multiply-adds in flight
    VFloat acc[U][R];
    for (auto& row : acc) std::fill(row, row + R, VFloat(0.0f));
    Size p = 0;
    for (; p + halves::kRun <= k; p += halves::kRun) {
      VFloat weights[4];
      halves::load_run(w + p, weights);
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u)
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i)
          acc[u % U][i] = fma(VFloat::load(ordered + i * k + p + u * kLanes), weights[u], acc[u % U][i]);
    }
    for (; p < k; p += kLanes) {
      const Size n = std::min<Size>(kLanes, k - p);
      const VFloat weight = halves::load(w + p, n);
      for (int i = 0; i < R; ++i) acc[0][i] = fma(VFloat::load(x + i * k + p, n), weight, acc[0][i]);
    }
    for (int i = 0; i < R; ++i) {
      for (int u = 1; u < U; ++u) acc[0][i] += acc[u][i];
      sums[i] = sum(acc[0][i]);
    }
  }

  // Outputs begin..end of all rows, the weights as they lie.
  void multiply_few(const float* ordered, Size begin, Size end) const {
    constexpr void (*kDots[])(Size, const float*, const float*, const W*, float*) = {&dots<1>, &dots<2>, &dots<3>,
                                                                                     &dots<4>};
    for (Size top = 0; top < rows; top += kGroup) {
      const Size count = std::min(kGroup, rows - top);
      for (Size j = begin; j < end; ++j) {
        float sums[kGroup];
        kDots[count - 1](in, x + top * in, ordered + top * in, w + j * in, sums);
        for (Size i = 0; i < count; ++i)
          y[(top + i) * out + j] = sums[i] * (scale ? scale[j] : 1.0f) + (bias ? bias[j] : 0.0f);
      }
    }
  }

  // The same by way of scaled floats.
  void multiply_many(Size begin, Size end) const {
    const Scratch<float> floats((end - begin) * in);
    for (Size j = begin; j < end; ++j) {
      const VFloat factor(scale ? scale[j] : 1.0f);
      float* row = floats.data() + (j - begin) * in;
      for (Size p = 0; p < in; p += kLanes) {
        const Size n = std::min<Size>(kLanes, in - p);
        halves::store(halves::load(w + j * in + p, n) * factor, row + p, n);
      }
    }
    gemm({rows, end - begin, in, {x, in, 1}, {floats.data(), 1, in}, y + begin, out, bias ? bias + begin : nullptr});
  }
};

}  // namespace minigrad
