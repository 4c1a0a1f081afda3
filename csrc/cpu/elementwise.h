// The elementwise ops, one row each: the kernel's name and its formula on Simd lanes. elementwise.cpp turns a row into
// a loop over any strides and broadcasts, bindings.cpp into a Python function; a new op is one new row.
//
//   UNARY     name(y, x)          f(x)
//   BACKWARD  name(dx, dy, s)     f(dy, s), s being what the forward saved
//   BINARY    name(y, a, b)       f(a, b)
//   COMPARE   name(y, a, b)       f(a, b) as bool
//
// Below the table: the few whose arguments are of another kind.
#pragma once

#include "cpu/array.h"

// clang-format off
#define MINIGRAD_ELEMENTWISE(UNARY, BACKWARD, BINARY, COMPARE)                          \
  UNARY(neg_forward, -x)                                                                \
  UNARY(neg_backward, -x)                                                               \
  UNARY(sign_forward, sign(x))                                                          \
  UNARY(abs_forward, abs(x))                                                            \
  UNARY(exp_forward, exp(x))                                                            \
  UNARY(log_forward, log(x))                                                            \
  UNARY(sqrt_forward, sqrt(x))                                                          \
  UNARY(relu_forward, relu(x))                                                          \
  UNARY(sigmoid_forward, sigmoid(x))                                                    \
  UNARY(tanh_forward, tanh(x))                                                          \
  UNARY(erf_forward, erf(x))                                                            \
  UNARY(silu_forward, silu(x))                                                          \
  UNARY(gelu_forward, gelu(x))                                                          \
  UNARY(gelu_tanh_forward, gelu_tanh(x))                                                \
  BACKWARD(abs_backward, dy * sign(s))                                                  \
  BACKWARD(exp_backward, dy * s)                                                        \
  BACKWARD(log_backward, dy / s)                                                        \
  BACKWARD(sqrt_backward, dy / (s + s))                                                 \
  BACKWARD(relu_backward, select(s > V(0.0f), dy, V(0.0f)))                             \
  BACKWARD(sigmoid_backward, dy * s * (V(1.0f) - s))                                    \
  BACKWARD(tanh_backward, dy * (V(1.0f) - s * s))                                       \
  BACKWARD(erf_backward, dy * (V(1.12837917f) * exp(-s * s)))                           \
  BACKWARD(silu_backward, dy * silu_slope(s))                                           \
  BACKWARD(gelu_backward, dy * gelu_slope(s))                                           \
  BACKWARD(gelu_tanh_backward, dy * gelu_tanh_slope(s))                                 \
  BINARY(add_forward, a + b)                                                            \
  BINARY(sub_forward, a - b)                                                            \
  BINARY(mul_forward, a * b)                                                            \
  BINARY(div_forward, a / b)                                                            \
  BINARY(pow_forward, pow(a, b))                                                        \
  BINARY(maximum_forward, maximum(a, b))                                                \
  BINARY(minimum_forward, minimum(a, b))                                                \
  BINARY(floor_divide_forward, rounding::floor_divide(a, b))                            \
  BINARY(trunc_divide_forward, rounding::trunc_divide(a, b))                            \
  BINARY(remainder_forward, rounding::remainder(a, b))                                  \
  COMPARE(eq_forward, a == b)                                                           \
  COMPARE(ne_forward, a != b)                                                           \
  COMPARE(gt_forward, a > b)                                                            \
  COMPARE(lt_forward, a < b)                                                            \
  COMPARE(ge_forward, a >= b)                                                           \
  COMPARE(le_forward, a <= b)
// clang-format on

namespace minigrad {

#define DECLARE_UNARY(name, formula) void name(OutView<float> y, InView<float> x);
#define DECLARE_BACKWARD(name, formula) void name(OutView<float> dx, InView<float> dy, InView<float> s);
#define DECLARE_BINARY(name, formula) void name(OutView<float> y, InView<float> a, InView<float> b);
#define DECLARE_COMPARE(name, formula) void name(OutView<uint8_t> y, InView<float> a, InView<float> b);
MINIGRAD_ELEMENTWISE(DECLARE_UNARY, DECLARE_BACKWARD, DECLARE_BINARY, DECLARE_COMPARE)
#undef DECLARE_UNARY
#undef DECLARE_BACKWARD
#undef DECLARE_BINARY
#undef DECLARE_COMPARE

void copy_forward(OutView<float> y, InView<float> x);
void clamp_forward(OutView<float> y, InView<float> x, float lo, float hi);
void clamp_backward(OutView<float> dx, InView<float> dy, InView<float> x, float lo, float hi);
void pow_scalar_forward(OutView<float> y, InView<float> x, float exponent);
void pow_scalar_backward(OutView<float> dx, InView<float> dy, InView<float> x, float exponent);
void where_forward(OutView<float> y, InView<uint8_t> mask, InView<float> a, InView<float> b);

}  // namespace minigrad
