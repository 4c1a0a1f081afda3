// Convolution: y[o, p] = sum over k of w[o, k] x[offset[k] + p], a matrix product whose right operand is never built.
//
// The offsets point into a Field (conv2d_field.h), in which all strides, paddings and dilations are one and the same
// case.
//
//   forward          conv2d_sweep.h: tiles of output channels by vectors of pixels
//   backward_input   the same from dy, the weights turned; with a stride, once for each remainder of the position
//   backward_weight  conv2d_outer.h: tiles of taps by vectors of output channels, over a turned copy of dy;
//                    conv2d_inner.h where windows hold few elements: scalar products with dy as it lies
//
// Windows of 3 x 3 side by side, over many channels, need a quarter of the products: conv2d_winograd.h. Channels that
// do not see each other go plane by plane: conv2d_depthwise.h.

#include "cpu/conv2d_depthwise.h"
#include "cpu/conv2d_inner.h"
#include "cpu/conv2d_outer.h"
#include "cpu/conv2d_sweep.h"
#include "cpu/conv2d_winograd_run.h"
#include "cpu/conv2d_winograd_weight.h"
#include "cpu/kernels.h"

namespace minigrad {
namespace {

using namespace conv;

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

// Whether the windows are of the one kind that has a faster way.
bool square(const Geometry& g) {
  const auto usual = [](const Window& w) { return w.taps == 3 && w.stride == 1 && w.dilation == 1; };
  return usual(g.rows) && usual(g.cols) && g.groups == 1;
}

void correlate_best(const Correlation& c) {
  const bool planes = depthwise::pays(c.ins, c.outs, c.x_area()) && c.y_area() > 0;
  planes ? depthwise::correlate(c) : correlate(c);
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
  const winograd::Shape s{g.images, g.ins, g.outs, x.shape[2], x.shape[3], y.shape[2], y.shape[3], pad_h, pad_w};
  if (square(g) && winograd::pays(s) &&
      winograd::correlate(s, x.data, w.data, g.ins * g.area, g.area, false, bias.data, y.data))
    return;
  correlate_best({g.images, g.groups, g.ins, g.outs, forward_axis(x.shape[2], y.shape[2], g.rows),
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
  const winograd::Shape s{g.images, g.outs, g.ins, dy.shape[2], dy.shape[3], height, width, 2 - pad_h, 2 - pad_w};
  if (square(g) && winograd::pays(s) &&
      winograd::correlate(s, dy.data, w.data, g.area, g.ins * g.area, true, nullptr, dx.data))
    return;
  const Size planes = dx.shape[0] * dx.shape[1];
  const Scratch<float> part(strided ? planes * ceil_div(height, stride_h) * ceil_div(width, stride_w) : 0);
  for (Size top = 0; top < std::min(stride_h, height); ++top)
    for (Size left = 0; left < std::min(stride_w, width); ++left) {
      const Axis rows = backward_axis(height, dy.shape[2], g.rows, top);
      const Axis cols = backward_axis(width, dy.shape[3], g.cols, left);
      if (rows.taps() == 0 || cols.taps() == 0) continue;
      correlate_best({g.images, g.groups, g.outs, g.ins, rows, cols, dy.data, strided ? part.data() : dx.data, w.data,
                      g.outs * g.ins * g.area, g.area, g.ins * g.area, g.cols.taps, nullptr});
      if (strided) spread(dx, part.data(), g, rows, cols, top, left);
    }
}

void conv2d_backward_weight(Out<float> dw, Maybe<Out<float>> db, In<float> dy, In<float> x, int64_t stride_h,
                            int64_t stride_w, int64_t pad_h, int64_t pad_w, int64_t dil_h, int64_t dil_w,
                            int64_t groups) {
  const Geometry g = geometry(dy, x, dw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups);
  require(!db || (db.ndim == 1 && db.shape[0] == dw.shape[0]), "expected db (out,)");
  if (dy.size == 0 || dw.size == 0) {
    std::fill_n(dw.data, dw.size, 0.0f);
    if (dy.size == 0) return (void)std::fill_n(db.data, db.size, 0.0f);
  }
  const winograd::Shape s{g.images, g.ins, g.outs, x.shape[2], x.shape[3], dy.shape[2], dy.shape[3], pad_h, pad_w};
  if (square(g) && winograd::pays(s) && winograd::weight_gradient(s, x.data, dy.data, dw.data, db.data)) return;
  const WeightGradient gradient{g.images,
                                g.groups,
                                g.ins,
                                g.outs,
                                forward_axis(x.shape[2], dy.shape[2], g.rows),
                                forward_axis(x.shape[3], dy.shape[3], g.cols),
                                x.data,
                                dy.data};
  if (depthwise::pays(g.ins, g.outs, x.shape[2] * x.shape[3]))
    depthwise::weight_gradient(gradient, dw.data, db.data);
  else if (inner::pays(gradient))
    inner::weight_gradient(gradient, dw.data, db.data);
  else
    weight_gradient(gradient, dw.data, db.data);
}

}  // namespace minigrad
