// The linear layer: its product is gemm.h's, with bias and relu in the store of the tiles; here are the gradients that
// need no product.

#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

constexpr Size kSumRun = 32;    // rows added up one by one
constexpr Size kSumRows = 256;  // rows whose runs are summed in float; beyond, in double

void check_linear(const Out<float>& y, const In<float>& x, const In<float>& w, const In<float>& bias) {
  require(y.ndim == 2 && x.ndim == 2 && w.ndim == 2 && y.shape[0] == x.shape[0] && y.shape[1] == w.shape[0] &&
              x.shape[1] == w.shape[1],
          "expected y (rows, out), x (rows, in), w (out, in)");
  require(!bias || (bias.ndim == 1 && bias.shape[0] == w.shape[0]), "expected bias (out,)");
}

Gemm product(const Out<float>& y, const In<float>& x, const In<float>& w, const In<float>& bias) {
  check_linear(y, x, w, bias);
  const Size in = x.shape[1], out = w.shape[0];
  return {y.shape[0], out, in, {x.data, in, 1}, {w.data, 1, in}, y.data, out, bias.data};
}

// sums (vectors * kLanes) of dy over `rows` rows, `cols` apart; if masked, of g = dy where y > 0, else 0.
template <bool masked, int vectors>
void sum_columns(float* sums, const float* dy, Size rows, Size cols, const float* y, float* g) {
  VFloat total[vectors];
  for (int v = 0; v < vectors; ++v) total[v] = VFloat(0.0f);
  for (Size top = 0; top < rows; top += kSumRun) {
    VFloat part[vectors];
    for (int v = 0; v < vectors; ++v) part[v] = VFloat(0.0f);
    for (Size r = top; r < std::min(rows, top + kSumRun); ++r)
      for (int v = 0; v < vectors; ++v) {
        const Size at = r * cols + v * kLanes;
        VFloat d = VFloat::load(dy + at);
        if (masked) d = select(VFloat::load(y + at) > VFloat(0.0f), d, VFloat(0.0f)), d.store(g + at);
        part[v] += d;
      }
    for (int v = 0; v < vectors; ++v) total[v] += part[v];
  }
  for (int v = 0; v < vectors; ++v) total[v].store(sums + v * kLanes);
}

// The same for any number of columns; what is left over goes one by one.
template <bool masked>
void sum_block(float* sums, const float* dy, Size rows, Size cols, const float* y, float* g) {
  Size c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) sum_columns<masked, 4>(sums + c, dy + c, rows, cols, y + c, g + c);
  for (; c + kLanes <= cols; c += kLanes) sum_columns<masked, 1>(sums + c, dy + c, rows, cols, y + c, g + c);
  for (; c < cols; ++c) {
    double total = 0;
    for (Size r = 0; r < rows; ++r) {
      const Size at = r * cols + c;
      const float d = !masked || y[at] > 0 ? dy[at] : 0.0f;
      if (masked) g[at] = d;
      total += d;
    }
    sums[c] = static_cast<float>(total);
  }
}

// dbias (cols) = sum over rows of dy (rows, cols), or of g, which is written on the way. Blocks of rows, then blocks.
template <bool masked>
void sum_rows(float* dbias, const float* dy, Size rows, Size cols, const float* y, float* g) {
  const Size block = std::min(kSumRows, row_grain(cols)), blocks = (rows + block - 1) / block;
  const Scratch<float> sums(blocks * cols);
  parallel_for(blocks, row_grain(block * cols), [&](Size begin, Size end) {
    for (Size b = begin; b < end; ++b) {
      const Size at = b * block * cols;
      sum_block<masked>(&sums[b * cols], dy + at, std::min(block, rows - b * block), cols, y + at, g + at);
    }
  });
  for (Size c = 0; dbias && c < cols; ++c) {
    double total = 0;
    for (Size b = 0; b < blocks; ++b) total += sums[b * cols + c];
    dbias[c] = static_cast<float>(total);
  }
}

void check_bias(const Out<float>& dbias, const In<float>& dy) {
  require(dy.ndim == 2 && (!dbias || (dbias.ndim == 1 && dbias.size == dy.shape[1])),
          "expected dy (rows, out), dbias (out,)");
}

}  // namespace

// y (rows, out) = x (rows, in) w (out, in)^T + bias (out)
void linear_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias) { gemm(product(y, x, w, bias)); }

// y = max(0, x w^T + bias)
void linear_relu_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias) {
  Gemm g = product(y, x, w, bias);
  g.relu = true;
  gemm(g);
}

// g (rows, out) = dy where y > 0, else 0; dbias (out) = sum of g over rows
void linear_relu_backward(Out<float> g, Maybe<Out<float>> dbias, In<float> dy, In<float> y) {
  check_bias(dbias, dy);
  require_same_shape(g, dy, "g and dy"), require_same_shape(dy, y, "dy and y");
  sum_rows<true>(dbias.data, dy.data, dy.shape[0], dy.shape[1], y.data, g.data);
}

// dbias (out) = sum of dy (rows, out) over rows
void linear_backward_bias(Out<float> dbias, In<float> dy) {
  check_bias(dbias, dy);
  sum_rows<false>(dbias.data, dy.data, dy.shape[0], dy.shape[1], nullptr, nullptr);
}

}  // namespace minigrad
