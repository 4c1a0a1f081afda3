// rms_norm of the rows of x (rows, cols), and its gradients: norm.h as it is.

#include "cpu/kernels.h"
#include "cpu/norm.h"

namespace minigrad {
namespace {

void check(const Array<const float>& x, const Array<const float>& weight, Size rstd) {
  require(x.ndim == 2, "expected x of shape (rows, cols)");
  require(rstd == x.shape[0], "expected rstd of shape (rows,)");
  require(!weight || weight.size == x.shape[1], "expected a weight of shape (cols,)");
}

}  // namespace

void rms_norm_forward(Out<float> y, Out<float> rstd, In<float> x, Maybe<In<float>> weight, double eps) {
  check(x, weight, rstd.size);
  require_same_shape(y, x, "y and x");
  norm::forward<false>({x.shape[0], x.shape[1], x.data, weight.data, nullptr, nullptr, rstd.data}, y.data, eps);
}

// dw may be missing.
void rms_norm_backward(Out<float> dx, Maybe<Out<float>> dw, In<float> dy, In<float> x, Maybe<In<float>> weight,
                       In<float> rstd) {
  check(x, weight, rstd.size);
  require_same_shape(dx, x, "dx and x");
  require_same_shape(dy, x, "dy and x");
  require(!dw || dw.size == x.shape[1], "expected dw of shape (cols,)");
  norm::backward<false>({x.shape[0], x.shape[1], x.data, weight.data, nullptr, nullptr, rstd.data},
                        {dx.data, dw.data, nullptr, dy.data});
}

}  // namespace minigrad
