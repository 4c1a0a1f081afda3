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

// sm_90a --------------------------------------------------------------------------------------------------------------

#include "ptx_sm90a.cuh"

// A block's tile of 64 x 64 halves and a barrier for it; `arrivals` end a phase.
#define TILE_AND_BARRIER(ARRIVALS)                                               \
  extern __shared__ __align__(1024) __half tile[];                               \
  __shared__ unsigned long long barrier[1];                                      \
  if (threadIdx.x == 0) mbarrier_init(barrier, ARRIVALS), fence_mbarrier_init(); \
  __syncthreads();

// y (64, 64) = the box of x at (column, row, z), as it lies in shared memory
extern "C" __global__ void boxed(__half* y, const __grid_constant__ TensorMap x, int column, int row, int z) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) {
    mbarrier_expect(barrier, 8192);
    tma_load_3d(tile, &x, barrier, column, row, z);
  }
  mbarrier_wait(barrier, 0);
  for (int i = threadIdx.x; i < 64 * 64; i += blockDim.x) y[i] = tile[i];
}

// y (1) counts rounds of a ring of one stage: whoever waits sees what was written before the arrival.
extern "C" __global__ void ring(int* y, int rounds) {
  __shared__ int value[1];
  __shared__ unsigned long long full[1];
  __shared__ unsigned long long empty[1];
  if (threadIdx.x == 0) mbarrier_init(full, 1), mbarrier_init(empty, 32);
  __syncthreads();
  if (threadIdx.x == 32)
    for (int i = 0; i < rounds; ++i) {
      mbarrier_wait(empty, i & 1 ^ 1);
      value[0] = i;
      mbarrier_arrive(full);
    }
  if (threadIdx.x < 32)
    for (int i = 0; i < rounds; ++i) {
      mbarrier_wait(full, i & 1);
      if (value[0] == i && threadIdx.x == 0) y[0] += 1;
      mbarrier_arrive(empty);
    }
}

extern "C" __global__ void box_never_waited_for(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) mbarrier_expect(barrier, 8192), tma_load_3d(tile, &x, barrier, 0, 0, 0);
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];  // here
}

extern "C" __global__ void box_of_the_other_parity(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) mbarrier_expect(barrier, 8192), tma_load_3d(tile, &x, barrier, 0, 0, 0);
  __syncthreads();
  mbarrier_wait(barrier, 1);
  y[threadIdx.x] = tile[threadIdx.x];  // here
}

extern "C" __global__ void box_that_others_waited_for(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 63) {
    mbarrier_expect(barrier, 8192), tma_load_3d(tile, &x, barrier, 0, 0, 0);
    mbarrier_wait(barrier, 0);
  }
  y[threadIdx.x] = tile[threadIdx.x];  // here
}

extern "C" __global__ void box_of_fewer_bytes(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) mbarrier_expect(barrier, 4096), tma_load_3d(tile, &x, barrier, 0, 0, 0);
  mbarrier_wait(barrier, 0);  // here
}

extern "C" __global__ void box_without_fence(__half* y, const __grid_constant__ TensorMap x) {
  extern __shared__ __align__(1024) __half tile[];
  __shared__ unsigned long long barrier[1];
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    tma_load_3d(tile, &x, barrier, 0, 0, 0);  // here
  }
}

extern "C" __global__ void box_askew(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) tma_load_3d(tile + 64, &x, barrier, 0, 0, 0);  // here
}

extern "C" __global__ void barrier_that_is_none(__half* y, const __grid_constant__ TensorMap x) {
  __shared__ unsigned long long barrier[1];
  barrier[0] = 0;
  mbarrier_arrive(barrier);  // here
}

extern "C" __global__ void too_many_arrivals(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  if (threadIdx.x == 0) mbarrier_expect(barrier, 8192);
  __syncthreads();
  mbarrier_arrive(barrier);  // here
}

extern "C" __global__ void wgmma_without_fence(__half* y, const __grid_constant__ TensorMap x) {
  TILE_AND_BARRIER(1)
  float sums[128] = {};
  const MatrixDescriptor part = wgmma_descriptor(tile, 8192, 1024);
  wgmma_m64n256k16<__half, false, false>(sums, part, part);  // here
}
