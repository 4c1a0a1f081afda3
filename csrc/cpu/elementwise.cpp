// Elementwise kernels: the formulas of elementwise.h as loops (map.h), and the kernels that are no row of its table.

#include "cpu/elementwise.h"

#include "cpu/activation.h"
#include "cpu/map.h"
#include "cpu/rounding.h"
#include "cpu/simd_math.h"

namespace minigrad {
namespace {

using V = VFloat;
using elementwise::clashes;
using elementwise::copy_apart;
using elementwise::require_broadcast;

// --- formulas ---

V sign(V x) { return select(x > V(0.0f), V(1.0f), select(x < V(0.0f), V(-1.0f), select(x == V(0.0f), V(0.0f), x))); }

// NaN in either operand wins, as in numpy.
V maximum(V a, V b) { return select(is_nan(a), a, max(a, b)); }
V minimum(V a, V b) { return select(is_nan(a), a, min(a, b)); }

// x^e for the exponents that need no logarithm; false for the others.
template <class Y, class... X, class Finish>
bool small_power(float e, Finish finish, OutView<Y> y, InView<X>... x) {
  const auto run = [&](auto power) { return map(finish(power), y, x...), true; };
  if (e == 0.0f) return run([](V) { return V(1.0f); });
  if (e == 1.0f) return run([](V x) { return x; });
  if (e == 2.0f) return run([](V x) { return x * x; });
  if (e == 3.0f) return run([](V x) { return x * x * x; });
  if (e == 0.5f) return run([](V x) { return sqrt(x); });
  if (e == -0.5f) return run([](V x) { return V(1.0f) / sqrt(x); });
  if (e == -1.0f) return run([](V x) { return V(1.0f) / x; });
  if (e == -2.0f) return run([](V x) { return V(1.0f) / (x * x); });
  return false;
}

}  // namespace

#define DEFINE_UNARY(name, formula)              \
  void name(OutView<float> y, InView<float> x) { \
    map([](V x) { return formula; }, y, x);      \
  }
#define DEFINE_BACKWARD(name, formula)                              \
  void name(OutView<float> dx, InView<float> dy, InView<float> s) { \
    map([](V dy, V s) { return formula; }, dx, dy, s);              \
  }
#define DEFINE_BINARY(name, formula)                              \
  void name(OutView<float> y, InView<float> a, InView<float> b) { \
    map([](V a, V b) { return formula; }, y, a, b);               \
  }
#define DEFINE_COMPARE(name, formula)                               \
  void name(OutView<uint8_t> y, InView<float> a, InView<float> b) { \
    map([](V a, V b) { return formula; }, y, a, b);                 \
  }
MINIGRAD_ELEMENTWISE(DEFINE_UNARY, DEFINE_BACKWARD, DEFINE_BINARY, DEFINE_COMPARE)

void copy_forward(OutView<float> y, InView<float> x) {
  require_broadcast(y, x);
  if (x.size == 1 && y.contiguous) {
    const float value = *x.pointer();
    return parallel_for(y.size, kStreamGrain,
                        [&](Size begin, Size end) { std::fill(y.data + begin, y.data + end, value); });
  }
  clashes(y, x) ? map([](V x) { return x; }, y, x) : copy_apart(y, x);
}

void clamp_forward(OutView<float> y, InView<float> x, float lo, float hi) {
  map([=](V x) { return min(V(hi), max(V(lo), x)); }, y, x);  // NaN in x is the second operand, and passes
}

void clamp_backward(OutView<float> dx, InView<float> dy, InView<float> x, float lo, float hi) {
  map([=](V dy, V x) { return select((x >= V(lo)) & (x <= V(hi)), dy, V(0.0f)); }, dx, dy, x);
}

void pow_scalar_forward(OutView<float> y, InView<float> x, float exponent) {
  const auto finish = [](auto power) { return power; };
  if (!small_power(exponent, finish, y, x)) map([=](V x) { return pow(x, V(exponent)); }, y, x);
}

void pow_scalar_backward(OutView<float> dx, InView<float> dy, InView<float> x, float exponent) {
  if (exponent == 0.0f) return map([](V, V) { return V(0.0f); }, dx, dy, x);
  const auto finish = [=](auto power) { return [=](V dy, V x) { return dy * (V(exponent) * power(x)); }; };
  if (small_power(exponent - 1.0f, finish, dx, dy, x)) return;
  map(finish([=](V x) { return pow(x, V(exponent - 1.0f)); }), dx, dy, x);
}

void where_forward(OutView<float> y, InView<uint8_t> mask, InView<float> a, InView<float> b) {
  map([](VInt mask, V a, V b) { return select(mask, a, b); }, y, mask, a, b);
}

}  // namespace minigrad
