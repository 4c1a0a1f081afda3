// Batched matrix products and the linear layer, on gemm.h.

#include "cpu/gemm.h"
#include "cpu/kernels.h"

namespace minigrad {

// y (B, m, n); a (B or 1, m, k), or (B or 1, k, m) when transposed; b (B or 1, k, n), or (B or 1, n, k).
void matmul_forward(Out<float> y, In<float> a, In<float> b, bool transpose_a, bool transpose_b) {
  require(y.ndim == 3 && a.ndim == 3 && b.ndim == 3, "expected three arrays of three dimensions");
  const Size count = y.shape[0], m = y.shape[1], n = y.shape[2], k = a.shape[transpose_a ? 1 : 2];
  const bool fits = a.shape[transpose_a ? 2 : 1] == m && b.shape[transpose_b ? 1 : 2] == n &&
                    b.shape[transpose_b ? 2 : 1] == k && (a.shape[0] == count || a.shape[0] == 1) &&
                    (b.shape[0] == count || b.shape[0] == 1);
  if (!fits)
    throw std::invalid_argument("shapes " + shape_text(a.shape, 3) + " and " + shape_text(b.shape, 3) +
                                " do not give " + shape_text(y.shape, 3));
  Gemm g{m, n, k, {a.data, k, 1}, {b.data, n, 1}, y.data, n};
  if (transpose_a) g.a = {a.data, 1, m};
  if (transpose_b) g.b = {b.data, 1, k};
  // One b for a batch of whole matrices a is one tall product.
  if (b.shape[0] == 1 && a.shape[0] == count && !transpose_a) {
    g.m *= count;
    return gemm(g);
  }
  gemm(g, count, a.shape[0] == 1 ? 0 : m * k, b.shape[0] == 1 ? 0 : k * n, m * n);
}

// y (rows, out) = x (rows, in) w (out, in)^T + bias (out)
void linear_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias) {
  require(y.ndim == 2 && x.ndim == 2 && w.ndim == 2 && y.shape[0] == x.shape[0] && y.shape[1] == w.shape[0] &&
              x.shape[1] == w.shape[1],
          "expected y (rows, out), x (rows, in), w (out, in)");
  require(!bias || (bias.ndim == 1 && bias.shape[0] == w.shape[0]), "expected bias (out,)");
  gemm({y.shape[0],
        y.shape[1],
        x.shape[1],
        {x.data, x.shape[1], 1},
        {w.data, 1, x.shape[1]},
        y.data,
        y.shape[1],
        bias.data});
}

}  // namespace minigrad
