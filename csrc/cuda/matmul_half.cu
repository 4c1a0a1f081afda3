// y (batch, m, n) = a (batch or 1, m, k) b (batch or 1, k, n) of two-byte floats, added up in float32, on tensor cores;
// each stored with its last two dimensions swapped or not ("columns", "rows"); and, as a linear layer wants it,
// y = activation(a b + bias + other). Rungs: `_plain`, which needs no tensor cores, `_wmma` (wmma.cuh), `_mma`
// (mma.cuh) and, compiled for sm_90a, `_wgmma` (wgmma.cuh).

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "mma.cuh"
#include "wgmma.cuh"
#if __has_include(<crt/mma.h>) || defined(CUDA_SIM)
#define HAS_WMMA  // NVRTC finds that header where the wheel nvidia-cuda-crt is installed
#include "wmma.cuh"
#endif

// A batch step of 0 is one matrix for all.
struct Product {
  long long batch, a_batch, b_batch;
  int m, n, k, activation;
};

namespace {

// The tile of this block of so many results each way: tiles are counted down bands of 8, so that blocks that run at the
// same time share rows of a and columns of b.
struct Tile {
  int row, column;

  __device__ __forceinline__ Tile(const Product& p, int height, int width) {
    const unsigned down = (p.m + height - 1u) / height, across = (p.n + width - 1u) / width;
    const unsigned band = blockIdx.x / (8 * across), inside = blockIdx.x % (8 * across);
    const unsigned rows = down - band * 8 < 8 ? down - band * 8 : 8;
    row = static_cast<int>((band * 8 + inside % rows) * height);
    column = static_cast<int>(inside / rows * width);
  }
};

template <class T>
__device__ __forceinline__ Finish<T> finish_of(const Product& p, T* y, const T* bias, const T* other, Size z) {
  const Size at = z * p.m * p.n;
  return {y + at, bias, other ? other + at : nullptr, p.activation, p.m, p.n};
}

template <class T, bool ADown, bool BDown>
__device__ __forceinline__ void by_mma(T* y, const T* a, const T* b, const T* bias, const T* other, const Product& p) {
  const Tile tile(p, Mma::kSide, Mma::kSide);
  const Size z = blockIdx.z;
  mma_product<T, ADown, BDown>(finish_of(p, y, bias, other, z), a + z * p.a_batch, b + z * p.b_batch, p.k, tile.row,
                               tile.column);
}

// In float32, a thread for each result.
template <class T>
__device__ __forceinline__ void plainly(T* y, const T* a, const T* b, const T* bias, const T* other, const Product& p,
                                        bool a_columns, bool b_columns) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.batch * p.m * p.n) return;
  const int column = static_cast<int>(i % p.n), row = static_cast<int>(i / p.n % p.m);
  const Size z = i / p.n / p.m, a_step = a_columns ? p.m : 1, b_step = b_columns ? 1 : p.n;
  a += z * p.a_batch + (a_columns ? row : static_cast<Size>(row) * p.k);
  b += z * p.b_batch + (b_columns ? static_cast<Size>(column) * p.k : column);
  float sum = 0.0f;
  for (Size d = 0; d < p.k; ++d) sum += static_cast<float>(a[d * a_step]) * static_cast<float>(b[d * b_step]);
  y[i] = static_cast<T>(finish_of(p, y, bias, other, 0)(sum, i, column));
}

}  // namespace

#define PLAIN(NAME, T)                                                                                                \
  extern "C" __global__ void __launch_bounds__(256) NAME##_plain(                                                     \
      T* y, const T* a, const T* b, const T* bias, const T* other, const Product p, bool a_columns, bool b_columns) { \
    plainly(y, a, b, bias, other, p, a_columns, b_columns);                                                           \
  }
PLAIN(matmul_forward_bfloat16, __nv_bfloat16)
PLAIN(matmul_forward_float16, __half)

#ifdef HAS_WMMA
#define WMMA(NAME, T)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(128) NAME##_wmma(                                                      \
      T* y, const T* a, const T* b, const T* bias, const T* other, const Product p, bool a_columns, bool b_columns) { \
    const Tile tile(p, Wmma::kSide, Wmma::kSide);                                                                     \
    const Size z = blockIdx.z;                                                                                        \
    wmma_product(finish_of(p, y, bias, other, z), a + z * p.a_batch, a_columns ? 1 : p.k, a_columns ? p.m : 1,        \
                 b + z * p.b_batch, b_columns ? 1 : p.n, b_columns ? p.k : 1, p.k, tile.row, tile.column);            \
  }
WMMA(matmul_forward_float16, __half)
#if __CUDA_ARCH__ >= 800
WMMA(matmul_forward_bfloat16, __nv_bfloat16)
#endif
#endif

#define MMA(NAME, T, A_DOWN, B_DOWN)                                                       \
  extern "C" __global__ void __launch_bounds__(128, 2)                                     \
      NAME(T* y, const T* a, const T* b, const T* bias, const T* other, const Product p) { \
    by_mma<T, A_DOWN, B_DOWN>(y, a, b, bias, other, p);                                    \
  }
MMA(matmul_forward_float16_mma_rows_rows, __half, false, true)
MMA(matmul_forward_float16_mma_rows_columns, __half, false, false)
MMA(matmul_forward_float16_mma_columns_rows, __half, true, true)
MMA(matmul_forward_float16_mma_columns_columns, __half, true, false)
#if __CUDA_ARCH__ >= 800  // sm_75 multiplies no bfloat16 on its tensor cores
MMA(matmul_forward_bfloat16_mma_rows_rows, __nv_bfloat16, false, true)
MMA(matmul_forward_bfloat16_mma_rows_columns, __nv_bfloat16, false, false)
MMA(matmul_forward_bfloat16_mma_columns_rows, __nv_bfloat16, true, true)
MMA(matmul_forward_bfloat16_mma_columns_columns, __nv_bfloat16, true, false)
#endif

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(CUDA_SIM)
#define WGMMA(NAME, T, A_DOWN, B_DOWN)                                                                            \
  extern "C" __global__ void __launch_bounds__(384, 1)                                                            \
      NAME(T* y, const T* a, const T* b, const T* bias, const T* other, const Product p,                          \
           const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map) {                    \
    const Tile tile(p, Wgmma::kHeight, Wgmma::kWidth);                                                            \
    const int z = blockIdx.z;                                                                                     \
    wgmma_product<T, A_DOWN, B_DOWN>(finish_of(p, y, bias, other, z), &a_map, &b_map, p.k, tile.row, tile.column, \
                                     p.a_batch ? z : 0, p.b_batch ? z : 0);                                       \
  }
WGMMA(matmul_forward_float16_wgmma_rows_rows, __half, false, true)
WGMMA(matmul_forward_float16_wgmma_rows_columns, __half, false, false)
WGMMA(matmul_forward_float16_wgmma_columns_rows, __half, true, true)
WGMMA(matmul_forward_float16_wgmma_columns_columns, __half, true, false)
WGMMA(matmul_forward_bfloat16_wgmma_rows_rows, __nv_bfloat16, false, true)
WGMMA(matmul_forward_bfloat16_wgmma_rows_columns, __nv_bfloat16, false, false)
WGMMA(matmul_forward_bfloat16_wgmma_columns_rows, __nv_bfloat16, true, true)
WGMMA(matmul_forward_bfloat16_wgmma_columns_columns, __nv_bfloat16, true, false)
#endif
