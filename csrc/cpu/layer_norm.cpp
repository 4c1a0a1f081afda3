// layer_norm of the rows of x (rows, cols), and its gradients: norm.h with the mean taken away.

#include "cpu/kernels.h"
#include "cpu/norm.h"

namespace minigrad {
namespace {

void check(const Array<const float>& x, const Array<const float>& weight, Size mean, Size rstd) {
  require(x.ndim == 2, "expected x of shape (rows, cols)");
  require(mean == x.shape[0] && rstd == x.shape[0], "expected mean and rstd of shape (rows,)");
  require(!weight || weight.size == x.shape[1], "expected a weight of shape (cols,)");
}

}  // namespace

void layer_norm_forward(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps) {
  check(x, weight, mean.size, rstd.size);
  require_same_shape(y, x, "y and x");
  require(!bias || bias.size == x.shape[1], "expected a bias of shape (cols,)");
  const norm::Arrays<float> a{x.shape[0], x.shape[1], x.data, weight.data, bias.data, mean.data, rstd.data};
  norm::forward<true>(a, y.data, eps);
}

// dw and db may be missing.
void layer_norm_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy, In<float> x,
                         Maybe<In<float>> weight, In<float> mean, In<float> rstd) {
  check(x, weight, mean.size, rstd.size);
  require_same_shape(dx, x, "dx and x");
  require_same_shape(dy, x, "dy and x");
  const Size cols = x.shape[1];
  require((!dw || dw.size == cols) && (!db || db.size == cols), "expected dw and db of shape (cols,)");
  const norm::Arrays<const float> a{x.shape[0], cols, x.data, weight.data, nullptr, mean.data, rstd.data};
  norm::backward<true>(a, {dx.data, dw.data, db.data, dy.data});
}

}  // namespace minigrad
