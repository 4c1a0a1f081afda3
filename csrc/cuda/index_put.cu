// Rows of v (n, cols) written to places in x: row i goes `places[i]` elements behind the first of x. Where several go
// to one place the last of them stays: first each row claims the number of its place, and the highest row has it; then
// those that have theirs write. Whole numbers are claimed, so that it does not matter which comes first.

#include "common.cuh"

struct Written {
  long long n, cols;
};

extern "C" __global__ void __launch_bounds__(256)
    put_forward_claim(long long* owners, const long long* numbers, long long n) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) atomicMax(&owners[numbers[i]], static_cast<long long>(i));
}

// owners and numbers are null where no two rows go to one place
extern "C" __global__ void __launch_bounds__(256)
    put_forward(Real* x, const Real* v, const long long* places, const long long* numbers, const long long* owners,
                const Written s) {
  const Size step = static_cast<Size>(gridDim.x) * blockDim.x;
  for (Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n * s.cols; i += step) {
    const Size row = i / s.cols;
    if (!owners || owners[numbers[row]] == row) x[places[row] + i % s.cols] = v[i];
  }
}
