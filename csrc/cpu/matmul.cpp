// Matrix products, batched or not, on gemm.h.

#include "cpu/gemm.h"
#include "cpu/kernels.h"

namespace minigrad {

// y (B, m, n); a (B or 1, m, k), or (B or 1, k, m) when transposed; b (B or 1, k, n), or (B or 1, n, k).
void matmul_forward(Out<float> y, In<float> a, In<float> b, bool transpose_a, bool transpose_b) {
  require((y.ndim == 2 || y.ndim == 3) && a.ndim == y.ndim && b.ndim == y.ndim,
          "expected three arrays of three dimensions, or of two");
  const auto batch = [](const auto& x) { return x.ndim == 3 ? x.shape[0] : 1; };
  const auto size = [](const auto& x, int dim) { return x.shape[x.ndim - 2 + dim]; };
  const Size count = batch(y), m = size(y, 0), n = size(y, 1), k = size(a, transpose_a ? 0 : 1);
  const bool fits = size(a, transpose_a ? 1 : 0) == m && size(b, transpose_b ? 0 : 1) == n &&
                    size(b, transpose_b ? 1 : 0) == k && (batch(a) == count || batch(a) == 1) &&
                    (batch(b) == count || batch(b) == 1);
  if (!fits)
    throw std::invalid_argument("shapes " + shape_text(a.shape, a.ndim) + " and " + shape_text(b.shape, b.ndim) +
                                " do not give " + shape_text(y.shape, y.ndim));
  Gemm g{m, n, k, {a.data, k, 1}, {b.data, n, 1}, y.data, n};
  if (transpose_a) g.a = {a.data, 1, m};
  if (transpose_b) g.b = {b.data, 1, k};
  // One b for a batch of whole matrices a is one tall product.
  if (batch(b) == 1 && batch(a) == count && !transpose_a) {
    g.m *= count;
    return gemm(g);
  }
  gemm(g, count, batch(a) == 1 ? 0 : m * k, batch(b) == 1 ? 0 : k * n, m * n);
}

}  // namespace minigrad
