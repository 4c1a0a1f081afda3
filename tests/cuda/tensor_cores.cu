// Small kernels for the tests of what tensor cores and asynchronous copies do in the simulator. In a faulty one the
// comment `// here` marks the line that the report must name.

#include "mma.cuh"

// place (rows, chunks): where each chunk of a row of 32, or of 128, elements lies.
extern "C" __global__ void places_of_32(int* at, int rows) {
  for (int i = threadIdx.x; i < rows * 4; i += blockDim.x) at[i] = place<32>(i / 4, i % 4);
}
extern "C" __global__ void places_of_128(int* at, int rows) {
  for (int i = threadIdx.x; i < rows * 16; i += blockDim.x) at[i] = place<128>(i / 16, i % 16);
}

// out (4, 32): the registers of ldmatrix from x (32, 8)
extern "C" __global__ void matrices(unsigned* out, const __half* x, bool transposed) {
  __shared__ __align__(16) __half tile[32][8];
  const int lane = threadIdx.x;
  for (int i = 0; i < 8; ++i) tile[lane][i] = x[lane * 8 + i];
  __syncwarp();
  unsigned registers[4];
  if (transposed)
    ldmatrix_x4<true>(registers, tile[lane]);
  else
    ldmatrix_x4<false>(registers, tile[lane]);
  for (int i = 0; i < 4; ++i) out[i * 32 + lane] = registers[i];
}

// d (4, 32) += the product of a (4, 32) and b (2, 32): registers by lanes
#define PRODUCT(NAME, T)                                                                                 \
  extern "C" __global__ void NAME(float* d, const unsigned* a, const unsigned* b) {                      \
    const int lane = threadIdx.x;                                                                        \
    float sums[4] = {d[lane], d[32 + lane], d[64 + lane], d[96 + lane]};                                 \
    mma_m16n8k16<T>(sums, {a[lane], a[32 + lane], a[64 + lane], a[96 + lane]}, {b[lane], b[32 + lane]}); \
    for (int i = 0; i < 4; ++i) d[i * 32 + lane] = sums[i];                                              \
  }
PRODUCT(product_float16, __half)
PRODUCT(product_bfloat16, __nv_bfloat16)

// y (blockDim, 4) = x in reverse, by copies in three groups, of which the last is empty
extern "C" __global__ void copied(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  const int t = threadIdx.x, other = blockDim.x - 1 - t;
  tile[t][0] = -1.0f;
  __syncthreads();
  cp_async_16(tile[t], x + 4 * t, t % 2 == 0);
  cp_async_commit();
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  for (int i = 0; i < 4; ++i) y[4 * t + i] = tile[other][i];
}

// What must be reported -----------------------------------------------------------------------------------------------

extern "C" __global__ void never_waited_for(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  cp_async_16(tile[threadIdx.x], x + 4 * threadIdx.x, true);
  cp_async_commit();
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x][0];  // here
}

extern "C" __global__ void group_not_committed(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  cp_async_16(tile[threadIdx.x], x + 4 * threadIdx.x, true);
  cp_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x][0];  // here
}

extern "C" __global__ void too_few_groups(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  cp_async_16(tile[threadIdx.x], x + 4 * threadIdx.x, true);
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x][0];  // here
}

extern "C" __global__ void others_not_waited_for(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  const int t = threadIdx.x;
  cp_async_16(tile[t], x + 4 * t, true);
  cp_async_commit();
  cp_async_wait<0>();
  y[t] = tile[t / 32 * 32][0];  // here
}

extern "C" __global__ void copied_over_readers(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  const int t = threadIdx.x;
  tile[t][0] = x[t];
  __syncthreads();
  y[t] = tile[0][0];
  if (t == 0) cp_async_16(tile[0], x, true);  // here
  cp_async_commit();
  cp_async_wait<0>();
}

extern "C" __global__ void copied_askew(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  cp_async_16(tile[threadIdx.x], x + 1, true);  // here
}

extern "C" __global__ void copied_from_behind(float* y, const float* x) {
  __shared__ __align__(16) float tile[64][4];
  cp_async_16(tile[threadIdx.x], x + 4 * 63 + 4 * threadIdx.x, true);  // here
}

extern "C" __global__ void half_a_warp(float* y, const float* x) {
  float sums[4] = {};
  if (threadIdx.x % 32 < 16) return;
  mma_m16n8k16<__half>(sums, {0u, 0u, 0u, 0u}, {0u, 0u});  // here
  y[0] = sums[0];
}

extern "C" __global__ void matrices_askew(float* y, const float* x) {
  __shared__ __align__(16) __half tile[64];
  tile[threadIdx.x] = 0.0f;
  __syncthreads();
  unsigned registers[4];
  ldmatrix_x4<false>(registers, tile + threadIdx.x % 2);  // here
  y[0] = registers[0];
}
