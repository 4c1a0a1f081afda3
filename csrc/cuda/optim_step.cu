// The optimizers, each for many parameters at once (tensors.cuh); a kernel says what happens to one element.

#include "tensors.cuh"

namespace {

__device__ __forceinline__ float descent(float p, float g, float weight_decay, bool maximize) {
  return (maximize ? -g : g) + weight_decay * p;
}

}  // namespace

// lists: parameters, momentum buffers or null, gradients
extern "C" __global__ void __launch_bounds__(256)
    sgd_step(const Tensors tensors, float lr, float momentum, float dampening, float weight_decay, bool nesterov,
             bool maximize, bool first) {
  for_chunk(tensors, [=](Size i, Real* const* a) {
    const float p = a[0][i];
    float d = descent(p, a[2][i], weight_decay, maximize);
    if (a[1]) {
      const float buffer = first ? d : momentum * wide(a[1][i]) + (1.0f - dampening) * d;
      a[1][i] = buffer;
      d = nesterov ? d + momentum * buffer : buffer;
    }
    a[0][i] = p - lr * d;
  });
}

// lists: parameters, sums of squares, gradients
extern "C" __global__ void __launch_bounds__(256)
    adagrad_step(const Tensors tensors, float lr, float weight_decay, float eps, bool maximize) {
  for_chunk(tensors, [=](Size i, Real* const* a) {
    const float p = a[0][i], d = descent(p, a[2][i], weight_decay, maximize), total = wide(a[1][i]) + d * d;
    a[1][i] = total;
    a[0][i] = p - lr * d / (sqrtf(total) + eps);
  });
}

// lists: parameters, mean squares, mean gradients or null, momentum buffers or null, gradients
extern "C" __global__ void __launch_bounds__(256, 4)
    rmsprop_step(const Tensors tensors, float lr, float alpha, float eps, float weight_decay, float momentum,
                 bool maximize) {
  for_chunk(tensors, [=](Size i, Real* const* a) {
    const float p = a[0][i];
    float d = descent(p, a[4][i], weight_decay, maximize);
    float variance = alpha * wide(a[1][i]) + (1.0f - alpha) * d * d;
    a[1][i] = variance;
    if (a[2]) {
      const float mean = alpha * wide(a[2][i]) + (1.0f - alpha) * d;
      a[2][i] = mean;
      variance -= mean * mean;
    }
    d /= sqrtf(variance) + eps;
    if (a[3]) {
      d += momentum * wide(a[3][i]);
      a[3][i] = d;
    }
    a[0][i] = p - lr * d;
  });
}

// lists: parameters, mean gradients, mean squares, their largest values or null, gradients. `shrink` is what decoupled
// weight decay leaves of a parameter; `step` and `root` are lr and the root of the mean squares, corrected for bias.
extern "C" __global__ void __launch_bounds__(256, 4)
    adam_step(const Tensors tensors, float step, float root, float beta1, float beta2, float eps, float weight_decay,
              float shrink, bool maximize) {
  for_chunk(tensors, [=](Size i, Real* const* a) {
    const float p = a[0][i], d = descent(p, a[4][i], weight_decay, maximize);
    const float mean = beta1 * wide(a[1][i]) + (1.0f - beta1) * d;
    float square = beta2 * wide(a[2][i]) + (1.0f - beta2) * d * d;
    a[1][i] = mean, a[2][i] = square;
    if (a[3]) {
      const float before = a[3][i];
      square = square > before || square != square ? square : before;  // NaN stays
      a[3][i] = square;
    }
    a[0][i] = p * shrink - step * mean / (sqrtf(square) / root + eps);
  });
}
