// Winograd's convolution for windows of 3 x 3: 36 products where 16 outputs by 9 taps would take 144.
//
// A window slid over a line is a product of polynomials, and a product is known from its values at enough points: turn
// both factors into values, multiply those, turn back. Here 4 outputs are found from a patch of 6 inputs and 6 points,
// and the same down the columns: of each patch of 6 x 6 come 4 x 4 outputs. The points 0, +-3/4, +-3/2 and infinity
// keep the rounding errors within about twice those of plain sums; the customary 0, +-1, +-2 lose four times as much.
//
//   values of x      V = B' d B      spread_patch    d: patch (6, 6)
//   values of w      U = G w G'      spread_window   w: window (3, 3)
//   outputs          y = A' M A      gather_outputs  M = sum over channels of U V, at each of the 36 places
//   backward_weight  the transposes of G and A: spread_outputs, gather_window
//
// Channels run across lanes. Read from the end of conv2d_winograd_run.h; here are the transforms.
// Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
#pragma once

#include "cpu/conv2d_field.h"

namespace minigrad::conv::winograd {

constexpr int kOut = 4, kPatch = 6, kWindow = 3, kPlaces = kPatch * kPatch;
constexpr float a = 0.75f, b = 1.5f, aa = a * a, bb = b * b;
constexpr float at_zero = 1 / (aa * bb), at_a = 1 / (2 * aa * (aa - bb)), at_b = 1 / (2 * bb * (bb - aa));

// Each of these is a matrix by a column of vectors.

struct SpreadPatch {  // B'
  static constexpr int in = kPatch, out = kPatch;
  static void apply(const Vec (&d)[in], Vec (&t)[out]) {
    const Vec even_a = d[4] - bb * d[2], odd_a = d[3] - bb * d[1], even_b = d[4] - aa * d[2], odd_b = d[3] - aa * d[1];
    t[0] = aa * bb * d[0] + (d[4] - (aa + bb) * d[2]);
    t[1] = even_a + a * odd_a, t[2] = even_a - a * odd_a;
    t[3] = even_b + b * odd_b, t[4] = even_b - b * odd_b;
    t[5] = aa * bb * d[1] + (d[5] - (aa + bb) * d[3]);
  }
};

struct SpreadWindow {  // G
  static constexpr int in = kWindow, out = kPatch;
  static void apply(const Vec (&w)[in], Vec (&t)[out]) {
    const Vec even_a = w[0] + aa * w[2], even_b = w[0] + bb * w[2];
    t[0] = at_zero * w[0];
    t[1] = at_a * (even_a + a * w[1]), t[2] = at_a * (even_a - a * w[1]);
    t[3] = at_b * (even_b + b * w[1]), t[4] = at_b * (even_b - b * w[1]);
    t[5] = w[2];
  }
};

struct GatherOutputs {  // A'
  static constexpr int in = kPatch, out = kOut;
  static void apply(const Vec (&m)[in], Vec (&y)[out]) {
    const Vec even_a = m[1] + m[2], odd_a = a * (m[1] - m[2]), even_b = m[3] + m[4], odd_b = b * (m[3] - m[4]);
    y[0] = m[0] + even_a + even_b, y[1] = odd_a + odd_b;
    y[2] = aa * even_a + bb * even_b, y[3] = aa * odd_a + (bb * odd_b + m[5]);
  }
};

struct SpreadOutputs {  // A
  static constexpr int in = kOut, out = kPatch;
  static void apply(const Vec (&y)[in], Vec (&t)[out]) {
    const Vec even_a = y[0] + aa * y[2], odd_a = a * (y[1] + aa * y[3]);
    const Vec even_b = y[0] + bb * y[2], odd_b = b * (y[1] + bb * y[3]);
    t[0] = y[0], t[5] = y[3];
    t[1] = even_a + odd_a, t[2] = even_a - odd_a, t[3] = even_b + odd_b, t[4] = even_b - odd_b;
  }
};

struct GatherWindow {  // G'
  static constexpr int in = kPatch, out = kWindow;
  static void apply(const Vec (&m)[in], Vec (&w)[out]) {
    const Vec even_a = at_a * (m[1] + m[2]), odd_a = at_a * (m[1] - m[2]);
    const Vec even_b = at_b * (m[3] + m[4]), odd_b = at_b * (m[3] - m[4]);
    w[0] = at_zero * m[0] + (even_a + even_b), w[1] = a * odd_a + b * odd_b, w[2] = aa * even_a + (bb * even_b + m[5]);
  }
};

// The matrix on both sides: columns first. from(i, j) gives an element, to(i, j, value) takes one.
template <class T, class From, class To>
inline void both_ways(const From& from, const To& to) {
  Vec half[T::out][T::in];
  MINIGRAD_UNROLL
  for (int j = 0; j < T::in; ++j) {
    Vec column[T::in], turned[T::out];
    MINIGRAD_UNROLL
    for (int i = 0; i < T::in; ++i) column[i] = from(i, j);
    T::apply(column, turned);
    MINIGRAD_UNROLL
    for (int i = 0; i < T::out; ++i) half[i][j] = turned[i];
  }
  MINIGRAD_UNROLL
  for (int i = 0; i < T::out; ++i) {
    Vec row[T::out];
    T::apply(half[i], row);
    MINIGRAD_UNROLL
    for (int j = 0; j < T::out; ++j) to(i, j, row[j]);
  }
}

}  // namespace minigrad::conv::winograd
