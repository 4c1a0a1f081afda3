// Small kernels for the tests of the simulator: what must work, and behind it what must be reported. In a faulty one
// the comment `// here` marks the line that the report must name.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define ALL 0xffffffffu

// What must work ------------------------------------------------------------------------------------------------------

// y (8, 32): each row another exchange between the lanes of one warp.
extern "C" __global__ void exchange(int* y, const int* x) {
  const int i = threadIdx.x, v = x[i];
  y[i] = __shfl_sync(ALL, v, i * 7);
  y[32 + i] = __shfl_sync(ALL, v, 3, 8);
  y[64 + i] = __shfl_up_sync(ALL, v, 2, 16);
  y[96 + i] = __shfl_down_sync(ALL, v, 5);
  y[128 + i] = __shfl_xor_sync(ALL, v, 9);
  y[160 + i] = static_cast<int>(__ballot_sync(ALL, v > 0));
  y[192 + i] = static_cast<int>(__match_any_sync(ALL, v % 4));
  y[224 + i] = __reduce_add_sync(ALL, v) + __reduce_max_sync(ALL, v) - __reduce_min_sync(ALL, v);
}

// The upper half of a warp exchanges on its own; the lower has left. y (32)
extern "C" __global__ void half_warp(float* y) {
  const int lane = threadIdx.x;
  if (lane < 16) return;
  float v = static_cast<float>(lane);
  for (int d = 8; d > 0; d >>= 1) v += __shfl_xor_sync(0xffff0000u, v, d);
  y[lane] = v + static_cast<float>(__any_sync(0xffff0000u, lane == 20) + __all_sync(0xffff0000u, lane > 15));
}

// y (12): every atomic, by all threads of all blocks.
extern "C" __global__ void count(int* y, float* sum, unsigned* wrapped) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&y[0], i);
  atomicSub(&y[1], 1);
  atomicMax(&y[2], i);
  atomicMin(&y[3], -i);
  atomicOr(&y[4], 1 << (i % 31));
  atomicAnd(&y[5], ~(1 << (i % 31)));
  atomicXor(&y[6], i);
  atomicExch(&y[7], 7);
  int old = atomicCAS(&y[8], 0, 0), seen;
  do {
    seen = old;
    old = atomicCAS(&y[8], seen, seen + 2);
  } while (old != seen);
  atomicAdd(sum, 0.5f);
  atomicInc(wrapped, 9);
}

// y (blocks): sums over a block, by shared memory and votes.
extern "C" __global__ void __launch_bounds__(96) block_sum(float* y, int* votes, const float* x, int n) {
  __shared__ float part[96];
  __shared__ int flags[2][2];
  const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  part[t] = i < n ? x[i] : 0.0f;
  if (t < 4) flags[t / 2][t % 2] = t;
  __syncthreads();
  for (int step = 64; step > 0; step >>= 1) {
    if (t < step && t + step < 96) part[t] += part[t + step];
    __syncthreads();
  }
  const int positive = __syncthreads_count(i < n && x[i] > 0.0f);
  const int both = __syncthreads_and(t >= 0) + 2 * __syncthreads_or(t == 95);
  if (t == 0) y[blockIdx.x] = part[0], votes[blockIdx.x] = 10 * positive + both + flags[1][1];
}

// y (n) = x reversed, by dynamic shared memory; block (n)
extern "C" __global__ void reverse(float* y, const float* x) {
  extern __shared__ float copy[];
  copy[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x];
}

// The last block to arrive adds up what all have published.
extern "C" __global__ void last_block(float* total, float* part, unsigned* arrived, const float* x) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    part[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float sum = 0.0f;
    for (unsigned b = 0; b < gridDim.x; ++b) sum += part[b];
    *total = sum;
  }
}

// index (z, y, x, 6): where each thread is
extern "C" __global__ void places(int* index) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  int* y = index + 6 * (block * blockDim.x * blockDim.y * blockDim.z + thread);
  y[0] = blockIdx.x, y[1] = blockIdx.y, y[2] = blockIdx.z;
  y[3] = threadIdx.x, y[4] = threadIdx.y, y[5] = threadIdx.z;
}

// y (6, n): conversions and arithmetic of halves
extern "C" __global__ void halves(__half* y, float* wide, const __half* a, const __half* b, const __half* c,
                                  const float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  wide[i] = __half2float(a[i]);
  y[i] = __hadd(a[i], b[i]);
  y[n + i] = __hsub(a[i], b[i]);
  y[2 * n + i] = __hmul(a[i], b[i]);
  y[3 * n + i] = __hdiv(a[i], b[i]);
  y[4 * n + i] = __hfma(a[i], b[i], c[i]);
  y[5 * n + i] = __float2half(x[i]);
}

extern "C" __global__ void brain_floats(__nv_bfloat16* y, float* back, const float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] = __float2bfloat16(x[i]);
  back[i] = __bfloat162float(y[i]);
}

// What must be reported -----------------------------------------------------------------------------------------------
// All take y (64), x (64) and are run by 2 blocks of 64 threads, unless the test says otherwise.

extern "C" __global__ void read_behind(float* y, const float* x) {
  const int i = threadIdx.x;
  if (blockIdx.x == 0) y[i] = x[i + 1];  // here
}

extern "C" __global__ void write_before(float* y, const float* x) {
  const int i = threadIdx.x;
  if (blockIdx.x == 0) y[i - 1] = x[i];  // here
}

extern "C" __global__ void write_to_input(float* y, const float* x) {
  const_cast<float*>(x)[threadIdx.x] = y[threadIdx.x];  // here
}

extern "C" __global__ void null_pointer(float* y, const float* x) {
  y[threadIdx.x] = x[0];  // here
}

extern "C" __global__ void misaligned(float* y, const float* x) {
  const float4 v = *reinterpret_cast<const float4*>(x + 1);  // here
  if (threadIdx.x == 0 && blockIdx.x == 0) y[0] = v.x + v.w;
}

extern "C" __global__ void zero_divisor(float* y, const float* x) {
  const int n = static_cast<int>(x[0]) - static_cast<int>(x[0]);
  if (threadIdx.x == 0 && blockIdx.x == 0) y[0] = static_cast<float>(64 / n);  // here
}

extern "C" __global__ void past_the_row(float* y, const float* x) {
  __shared__ float tile[4][16];
  tile[threadIdx.x / 16][threadIdx.x % 16] = x[threadIdx.x];
  __syncthreads();
  float sum = 0.0f;
  for (int i = 0; i <= 16; ++i) sum += tile[threadIdx.x / 16][i];  // here
  if (blockIdx.x == 0) y[threadIdx.x] = sum;
}

extern "C" __global__ void past_the_array(float* y, const float* x) {
  __shared__ float tile[64];
  float* at = tile + threadIdx.x;
  at[0] = x[threadIdx.x];
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = at[1];  // here
}

extern "C" __global__ void short_shared(float* y, const float* x) {
  extern __shared__ float tile[];
  tile[threadIdx.x] = x[threadIdx.x];  // here
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = tile[63 - threadIdx.x];
}

extern "C" __global__ void never_written(float* y, const float* x) {
  __shared__ float tile[64];
  if (threadIdx.x < 63) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = tile[threadIdx.x];  // here
}

extern "C" __global__ void no_barrier(float* y, const float* x) {
  __shared__ float tile[64];
  tile[threadIdx.x] = 0.0f;
  __syncthreads();
  tile[threadIdx.x] = x[threadIdx.x];  // here
  if (blockIdx.x == 0) y[threadIdx.x] = tile[63 - threadIdx.x];
}

extern "C" __global__ void no_warp_barrier(float* y, const float* x) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  if (threadIdx.x < 16) tile[threadIdx.x] += tile[threadIdx.x + 16];  // here
  if (threadIdx.x < 8) tile[threadIdx.x] += tile[threadIdx.x + 8];
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void no_atomic(float* y, const float* x) {
  y[threadIdx.x] += x[threadIdx.x];  // here
}

extern "C" __global__ void half_atomic(float* y, const float* x) {
  if (threadIdx.x == 0) atomicAdd(y, x[0]);
  if (threadIdx.x == 40) y[0] = x[1];  // here
}

extern "C" __global__ void no_fence(float* y, const float* x) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    y[blockIdx.x] = x[blockIdx.x];
    last = atomicAdd(reinterpret_cast<unsigned*>(y) + 8, 1u) == gridDim.x - 1;
    if (last) y[4] = y[0] + y[1];  // here
  }
}

extern "C" __global__ void barrier_in_branch(float* y, const float* x) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();  // here
  }
  if (blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];
}

extern "C" __global__ void shuffle_in_branch(float* y, const float* x) {
  float v = x[threadIdx.x];
  if (threadIdx.x % 2 == 0) v += __shfl_xor_sync(ALL, v, 1);  // here
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = v;
}

extern "C" __global__ void from_a_lane_that_left(float* y, const float* x) {
  if (threadIdx.x % 32 >= 16) return;
  const float v = __shfl_xor_sync(ALL, x[threadIdx.x], 16);  // here
  if (blockIdx.x == 0) y[threadIdx.x] = v;
}

extern "C" __global__ void not_in_the_mask(float* y, const float* x) {
  const float v = __shfl_sync(0x0000ffffu, x[threadIdx.x], 0);  // here
  if (blockIdx.x == 0) y[threadIdx.x] = v;
}

extern "C" __global__ void another_stack(float* y, const float* x) {
  __shared__ const float* local;
  const float mine = x[threadIdx.x];
  if (threadIdx.x == 0) local = &mine;
  __syncthreads();
  if (blockIdx.x == 0) y[threadIdx.x] = *local;  // here
  __syncthreads();
}

extern "C" __global__ void asserts(float* y, const float* x) {
  assert(threadIdx.x < 50);  // here
  if (blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];
}

extern "C" __global__ void no_dynamic_shared(float* y, const float* x) {
  extern __shared__ float tile[];  // here
  tile[threadIdx.x] = x[threadIdx.x];
  if (blockIdx.x == 0) y[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void too_much_shared(float* y, const float* x) {
  __shared__ float tile[12289];  // here
  tile[threadIdx.x] = x[threadIdx.x];
  if (blockIdx.x == 0) y[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(32) bounded(float* y, const float* x) {
  if (blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];
}
