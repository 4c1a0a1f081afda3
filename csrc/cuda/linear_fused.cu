// y (rows, out) = relu(z), gelu(z) or z + other, z = x (rows, in) w^T + bias, w (out, in), in the pass that makes z;
// and what their gradients need beside products of matrices.

#include "gelu.cuh"
#include "linear.cuh"

// What becomes of an element of z, the i-th.
struct Relu {
  __device__ __forceinline__ float operator()(float z, Size) const { return z <= 0.0f ? 0.0f : z; }  // NaN passes
};

struct Gelu {
  float* slope;  // gelu'(z), or null
  bool tanh;

  __device__ __forceinline__ float operator()(float z, Size i) const {
    if (slope) slope[i] = tanh ? gelu_tanh_slope(z) : gelu_slope(z);
    return tanh ? gelu_tanh(z) : gelu(z);
  }
};

struct Plus {
  const float* other;

  __device__ __forceinline__ float operator()(float z, Size i) const { return z + other[i]; }
};

#define RELU(NAME, PRODUCT, BLOCKS)                                                                              \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                                      \
      NAME(float* y, float* parts, const float* x, const float* w, const float* bias, int rows, int out, int in, \
           int depth) {                                                                                          \
    PRODUCT(Layer{y, parts, bias, rows, out}, x, w, in, depth, Relu());                                          \
  }

#define GELU(NAME, PRODUCT, BLOCKS)                                                                            \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                                    \
      NAME(float* y, float* slope, float* parts, const float* x, const float* w, const float* bias, bool tanh, \
           int rows, int out, int in, int depth) {                                                             \
    PRODUCT(Layer{y, parts, bias, rows, out}, x, w, in, depth, Gelu{slope, tanh});                             \
  }

#define PLUS(NAME, PRODUCT, BLOCKS)                                                                                 \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                                         \
      NAME(float* y, float* parts, const float* x, const float* w, const float* bias, const float* other, int rows, \
           int out, int in, int depth) {                                                                            \
    PRODUCT(Layer{y, parts, bias, rows, out}, x, w, in, depth, Plus{other});                                        \
  }

RELU(linear_relu_forward_register, product_register, 3)
RELU(linear_relu_forward_warp_tiled, product_warp_tiled, 2)
GELU(linear_gelu_forward_register, product_register, 3)
GELU(linear_gelu_forward_warp_tiled, product_warp_tiled, 2)
PLUS(linear_add_forward_register, product_register, 3)
PLUS(linear_add_forward_warp_tiled, product_warp_tiled, 2)

extern "C" __global__ void __launch_bounds__(256)
    linear_relu_forward_sum(float* y, float* parts, const float* bias, int rows, int out, int pieces) {
  sum_parts(Layer{y, parts, bias, rows, out}, pieces, Relu());
}

extern "C" __global__ void __launch_bounds__(256)
    linear_gelu_forward_sum(float* y, float* slope, float* parts, const float* bias, bool tanh, int rows, int out,
                            int pieces) {
  sum_parts(Layer{y, parts, bias, rows, out}, pieces, Gelu{slope, tanh});
}

extern "C" __global__ void __launch_bounds__(256)
    linear_add_forward_sum(float* y, float* parts, const float* bias, const float* other, int rows, int out,
                           int pieces) {
  sum_parts(Layer{y, parts, bias, rows, out}, pieces, Plus{other});
}

// g = dy where y > 0, else 0; dbias (pieces, out), or null, = sums of g over pieces of the rows
extern "C" __global__ void __launch_bounds__(256)
    linear_relu_backward(float* g, float* dbias, const float* dy, const float* y, long long rows, int out, int depth) {
  sum_columns(dbias, rows, out, depth, [=](Size i) { return g[i] = y[i] > 0.0f ? dy[i] : 0.0f; });
}

// g = dy slope; dbias as there
extern "C" __global__ void __launch_bounds__(256)
    linear_gelu_backward(float* g, float* dbias, const float* dy, const float* slope, long long rows, int out,
                         int depth) {
  sum_columns(dbias, rows, out, depth, [=](Size i) { return g[i] = dy[i] * slope[i]; });
}

// dbias (out) = the sum of parts (pieces, out)
extern "C" __global__ void __launch_bounds__(256)
    linear_fused_backward_sum(float* dbias, const float* parts, long long pieces, int out, int depth) {
  sum_columns(dbias, pieces, out, depth, [=](Size i) { return parts[i]; });
}
