// y (n, cols) = pieces of x: row i is what lies `places[i]` elements behind the first of x.

#include "common.cuh"

// A struct, so that x may lie in any strides: `places` know them.
struct Taken {
  long long n, cols;
};

extern "C" __global__ void __launch_bounds__(256)
    take_forward(Real* y, const Real* x, const long long* places, const Taken s) {
  const Size step = static_cast<Size>(gridDim.x) * blockDim.x;
  for (Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n * s.cols; i += step)
    y[i] = x[places[i / s.cols] + i % s.cols];
}
