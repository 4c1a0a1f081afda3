// The linear layer: its product is gemm.h's, with bias and relu in the store of the tiles and what else may follow
// while they lie in the cache; here are the gradients that need no product.

#include <algorithm>
#include <type_traits>

#include "cpu/activation.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/narrow_linear.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

constexpr Size kSumRun = 32;    // rows added up one by one
constexpr Size kSumRows = 256;  // rows whose runs are summed in float; beyond, in double

template <class T>
void check_linear(const Out<T>& y, const In<T>& x, const In<T>& w, const In<T>& bias) {
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

// The product of two-byte floats: summed in float, rounded once.
template <class H>
void of_halves(const Out<H>& y, const In<H>& x, const In<H>& w, const In<H>& bias) {
  check_linear(y, x, w, bias);
  const Scratch<float> sums(y.size), rows(x.size), biases(bias.size);
  halves::convert_all(rows.data(), x.data, x.size), halves::convert_run(biases.data(), bias.data, bias.size);
  NarrowLinear<H>{x.shape[0], x.shape[1], w.shape[0], sums.data(), rows.data(), w.data, bias ? biases.data() : nullptr}
      .run();
  halves::convert_all(y.data, sums.data(), y.size);
}

// How dy comes back through what follows the product, given what its forward saved.
struct Through {
  VFloat operator()(VFloat dy, VFloat) const { return dy; }
};
struct ThroughRelu {
  VFloat operator()(VFloat dy, VFloat y) const { return select(y > VFloat(0.0f), dy, VFloat(0.0f)); }
};
struct ThroughSlope {
  VFloat operator()(VFloat dy, VFloat slope) const { return dy * slope; }
};

// sums (vectors * kLanes) over `rows` rows, `cols` apart, of g = back(dy, saved), which is stored unless g is null.
template <int vectors, class Back>
void sum_columns(float* sums, const float* dy, Size rows, Size cols, const float* saved, float* g, Back back, Size n) {
  VFloat total[vectors];
  for (int v = 0; v < vectors; ++v) total[v] = VFloat(0.0f);
  for (Size top = 0; top < rows; top += kSumRun) {
    VFloat part[vectors];
    for (int v = 0; v < vectors; ++v) part[v] = VFloat(0.0f);
    for (Size r = top; r < std::min(rows, top + kSumRun); ++r)
      for (int v = 0; v < vectors; ++v) {
        const Size at = r * cols + v * kLanes;
        const VFloat d = n == kLanes ? back(VFloat::load(dy + at), VFloat::load(saved + at))
                                     : back(VFloat::load(dy + at, n), VFloat::load(saved + at, n));
        if (g) n == kLanes ? d.store(g + at) : d.store(g + at, n);
        part[v] += d;
      }
    for (int v = 0; v < vectors; ++v) total[v] += part[v];
  }
  for (int v = 0; v < vectors; ++v) n == kLanes ? total[v].store(sums + v * kLanes) : total[v].store(sums, n);
}

// dbias (cols) = sum over rows of g (rows, cols) = back(dy, saved), written on the way. Blocks of rows, then blocks.
template <class Back>
void sum_rows(float* dbias, const float* dy, Size rows, Size cols, const float* saved, float* g, Back back) {
  const Size block = std::min(kSumRows, row_grain(cols)), blocks = (rows + block - 1) / block;
  const Scratch<float> sums(blocks * cols);
  parallel_for(blocks, row_grain(block * cols), [&](Size begin, Size end) {
    for (Size b = begin; b < end; ++b) {
      const Size count = std::min(block, rows - b * block);
      Size c = 0;
      const auto run = [&](auto vectors, Size n) {
        const Size at = b * block * cols + c;
        sum_columns<vectors>(&sums[b * cols + c], dy + at, count, cols, saved + at, g ? g + at : g, back, n);
      };
      for (; c + 4 * kLanes <= cols; c += 4 * kLanes) run(std::integral_constant<int, 4>(), kLanes);
      for (; c < cols; c += kLanes) run(std::integral_constant<int, 1>(), std::min<Size>(kLanes, cols - c));
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

template <class Back>
void backward(const Out<float>& g, const Out<float>& dbias, const In<float>& dy, const In<float>& saved, Back back) {
  check_bias(dbias, dy);
  require_same_shape(g, dy, "g and dy"), require_same_shape(dy, saved, "dy and what was saved");
  sum_rows(dbias.data, dy.data, dy.shape[0], dy.shape[1], saved.data, g.data, back);
}

// What follows a product: f(value, where it lies in y, how many lanes count) on every vector of a part of y.
template <class F>
void finish_part(const void* context, float* c, Size rows, Size cols, Size ldc) {
  const F& f = *static_cast<const F*>(context);
  for (Size r = 0; r < rows; ++r, c += ldc) {
    Size j = 0;
    for (; j + kLanes <= cols; j += kLanes) f(VFloat::load(c + j), c + j, kLanes).store(c + j);
    if (j < cols) f(VFloat::load(c + j, cols - j), c + j, cols - j).store(c + j, cols - j);
  }
}

template <class F>
void multiply_then(Gemm g, const F& f) {
  const Finish finish{&f, &finish_part<F>};
  g.finish = &finish;
  gemm(g);
}

}  // namespace

// y (rows, out) = x (rows, in) w (out, in)^T + bias (out)
void linear_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias) { gemm(product(y, x, w, bias)); }

void linear_forward_float16(Out<Float16> y, In<Float16> x, In<Float16> w, Maybe<In<Float16>> bias) {
  of_halves<Float16>(y, x, w, bias);
}
void linear_forward_bfloat16(Out<BFloat16> y, In<BFloat16> x, In<BFloat16> w, Maybe<In<BFloat16>> bias) {
  of_halves<BFloat16>(y, x, w, bias);
}

// y = max(0, x w^T + bias)
void linear_relu_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias) {
  Gemm g = product(y, x, w, bias);
  g.relu = true;
  gemm(g);
}

// y = gelu(z), z = x w^T + bias; slope = gelu'(z) unless it is null: to keep it is cheaper than to find it again from z
void linear_gelu_forward(Out<float> y, Maybe<Out<float>> slope, In<float> x, In<float> w, Maybe<In<float>> bias,
                         bool tanh) {
  if (slope) require_same_shape(y, slope, "y and slope");
  const auto then = [&](auto activation) {
    multiply_then(product(y, x, w, bias), [&](VFloat value, const float* at, Size n) {
      const Activated a = activation(value);
      float* kept = slope.data + (at - y.data);
      if (slope) n == kLanes ? a.slope.store(kept) : a.slope.store(kept, n);
      return a.y;
    });
  };
  tanh ? then([](VFloat v) { return gelu_tanh_with_slope(v); }) : then([](VFloat v) { return gelu_with_slope(v); });
}

// y = x w^T + bias + other (rows, out)
void linear_add_forward(Out<float> y, In<float> x, In<float> w, Maybe<In<float>> bias, In<float> other) {
  require_same_shape(y, other, "y and what is added");
  multiply_then(product(y, x, w, bias), [&](VFloat value, const float* at, Size n) {
    const float* added = other.data + (at - y.data);
    return value + (n == kLanes ? VFloat::load(added) : VFloat::load(added, n));
  });
}

// g (rows, out) = dy where y > 0, else 0; dbias (out) = sum of g over rows
void linear_relu_backward(Out<float> g, Maybe<Out<float>> dbias, In<float> dy, In<float> y) {
  backward(g, dbias, dy, y, ThroughRelu());
}

// g (rows, out) = dy slope; dbias (out) = sum of g over rows
void linear_gelu_backward(Out<float> g, Maybe<Out<float>> dbias, In<float> dy, In<float> slope) {
  backward(g, dbias, dy, slope, ThroughSlope());
}

// dbias (out) = sum of dy (rows, out) over rows
void linear_backward_bias(Out<float> dbias, In<float> dy) {
  check_bias(dbias, dy);
  sum_rows(dbias.data, dy.data, dy.shape[0], dy.shape[1], dy.data, nullptr, Through());
}

}  // namespace minigrad
