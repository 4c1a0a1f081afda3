// Matrix products, batched or not, on gemm.h.

#include "cpu/gemm.h"
#include "cpu/halves.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"

namespace minigrad {
namespace {

// An array of the shape of x, in `data`.
template <template <class> class A, class H>
A<float> in_floats(const A<H>& x, float* data) {
  A<float> array;
  array.data = data, array.ndim = x.ndim, array.shape = x.shape, array.size = x.size;
  return array;
}

// Two-byte floats: widened, multiplied, rounded once. Beside the product the two passes cost little.
template <class H>
void of_halves(const Out<H>& y, const In<H>& a, const In<H>& b, bool transpose_a, bool transpose_b) {
  const Scratch<float> wide_y(y.size), wide_a(a.size), wide_b(b.size);
  halves::convert_all(wide_a.data(), a.data, a.size), halves::convert_all(wide_b.data(), b.data, b.size);
  matmul_forward(in_floats(y, wide_y.data()), in_floats(a, wide_a.data()), in_floats(b, wide_b.data()), transpose_a,
                 transpose_b);
  halves::convert_all(y.data, wide_y.data(), y.size);
}

}  // namespace

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

void matmul_forward_float16(Out<Float16> y, In<Float16> a, In<Float16> b, bool transpose_a, bool transpose_b) {
  of_halves(y, a, b, transpose_a, transpose_b);
}
void matmul_forward_bfloat16(Out<BFloat16> y, In<BFloat16> a, In<BFloat16> b, bool transpose_a, bool transpose_b) {
  of_halves(y, a, b, transpose_a, transpose_b);
}

}  // namespace minigrad
