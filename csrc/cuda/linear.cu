// y (rows, out) = x (rows, in) w^T + bias, w (out, in), and the gradient of bias. What may follow in the same pass is
// in linear_fused.cu.

#include "linear.cuh"

#define LINEAR(NAME, PRODUCT, BLOCKS)                                                                            \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                                      \
      NAME(float* y, float* parts, const float* x, const float* w, const float* bias, int rows, int out, int in, \
           int depth) {                                                                                          \
    PRODUCT(Layer{y, parts, bias, rows, out}, x, w, in, depth, [](float z, Size) { return z; });                 \
  }

LINEAR(linear_forward_register, product_register, 3)
LINEAR(linear_forward_warp_tiled, product_warp_tiled, 2)

extern "C" __global__ void __launch_bounds__(256)
    linear_forward_sum(float* y, float* parts, const float* bias, int rows, int out, int pieces) {
  sum_parts(Layer{y, parts, bias, rows, out}, pieces, [](float z, Size) { return z; });
}

// dbias (pieces, out): the sums of dy (rows, out) over pieces of the rows
extern "C" __global__ void __launch_bounds__(256)
    linear_backward_bias(float* dbias, const float* dy, long long rows, int out, int depth) {
  sum_columns(dbias, rows, out, depth, [=](Size i) { return dy[i]; });
}
