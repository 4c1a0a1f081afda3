// The linear layer on weights of one byte each, with a scale for each of their rows.

#include "cpu/kernels.h"
#include "cpu/narrow_linear.h"

namespace minigrad {

// y (rows, out) = (x (rows, in) w (out, in)^T) scale (out) + bias (out)
void int8_linear_forward(Out<float> y, In<float> x, In<int8_t> w, In<float> scale, Maybe<In<float>> bias) {
  require(y.ndim == 2 && x.ndim == 2 && w.ndim == 2 && y.shape[0] == x.shape[0] && y.shape[1] == w.shape[0] &&
              x.shape[1] == w.shape[1],
          "expected y (rows, out), x (rows, in), w (out, in)");
  require(scale.ndim == 1 && scale.size == w.shape[0] && (!bias || (bias.ndim == 1 && bias.size == scale.size)),
          "expected scale (out,), bias (out,)");
  NarrowLinear<int8_t>{x.shape[0], x.shape[1], w.shape[0], y.data, x.data, w.data, bias.data, scale.data}.run();
}

}  // namespace minigrad
