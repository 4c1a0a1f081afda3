// y (batch, m, n) = a (batch or 1, m, k) b (batch or 1, k, n), each stored with its last two dimensions swapped or not:
// a ladder, every rung of which improves one thing. Each reads
//
//   _naive        a row of a and a column of b for each result, neighbouring threads different rows
//   _coalesced    the same, neighbouring threads different columns, which lie side by side in b and y
//   _tiled        each element once for 16 results, from tiles in shared memory
//   _register     once for 64 results, and shared memory once for 4: 4 x 4 in registers (gemm.cuh)
//   _vectorized   once for 128 and for 8, four elements at a time from either memory (gemm128.cuh)
//   _warp_tiled   the same without conflicts of banks, while the next elements are on their way (gemm128.cuh)
//
// Where results are few and k is large, k is cut into pieces that blocks work on side by side, each to an array of its
// own; `_sum` adds those up, in order.

#include "gemm128.cuh"

// Steps in elements; a batch step of 0 is one matrix for all. k is cut into `pieces`, `depth` long but for the last.
struct Operands {
  long long a_batch, a_row, a_column, b_batch, b_row, b_column;
  int pieces, depth;
};

namespace {

// What is to be multiplied for the z-th (m, n) of y (batch, pieces, m, n).
struct Piece {
  float* y;
  const float *a, *b;
  int k;

  __device__ __forceinline__ Piece(float* all_y, const float* all_a, const float* all_b, int m, int n, int all_k,
                                   const Operands& s, Size z) {
    const Size matrix = z / s.pieces;
    const int begin = static_cast<int>(z % s.pieces) * s.depth;
    y = all_y + z * m * n;
    a = all_a + matrix * s.a_batch + begin * s.a_column;
    b = all_b + matrix * s.b_batch + begin * s.b_row;
    k = all_k - begin < s.depth ? all_k - begin : s.depth;
  }

  // One result, by one thread.
  __device__ __forceinline__ void multiply(int row, int column, int n, const Operands& s) const {
    float sum = 0.0f;
    for (int d = 0; d < k; ++d) sum += a[row * s.a_row + d * s.a_column] * b[d * s.b_row + column * s.b_column];
    y[static_cast<Size>(row) * n + column] = sum;
  }
};

// Where element `d` along k of a row of a, or a column of b, lies.
template <Along Lies>
__device__ __forceinline__ Size place(int across, int d, Size step) {
  return Lies == Along::depth ? across * step + d : d * step + across;
}

}  // namespace

// count: (m, n) in y
extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_naive(float* y, const float* a, const float* b, long long count, int m, int n, int k,
                         const Operands steps) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, results = static_cast<Size>(m) * n;
  if (i >= count * results) return;
  const int at = static_cast<int>(i % m), column = static_cast<int>(i / m % n);
  Piece(y, a, b, m, n, k, steps, i / results).multiply(at, column, n, steps);
}

extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_coalesced(float* y, const float* a, const float* b, long long count, int m, int n, int k,
                             const Operands steps) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x, results = static_cast<Size>(m) * n;
  if (i >= count * results) return;
  const int row = static_cast<int>(i / n % m), at = static_cast<int>(i % n);
  Piece(y, a, b, m, n, k, steps, i / results).multiply(row, at, n, steps);
}

// A block of 256 threads computes 16 x 16 results, a thread one. Neighbouring threads load neighbours in memory.
extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_tiled(float* y, const float* a, const float* b, int m, int n, int k, const Operands steps) {
  constexpr int kSide = 16;
  __shared__ float a_tile[kSide][kSide + 1];  // padded: a column lies in as many banks as a row
  __shared__ float b_tile[kSide][kSide + 1];
  const Piece piece(y, a, b, m, n, k, steps, blockIdx.z);
  const Corner<kSide, kSide, int> corner(m, n);
  const int i = threadIdx.x / kSide, j = threadIdx.x % kSide, row = corner.row + i, column = corner.column + j;
  const int ar = steps.a_column == 1 ? i : j, ak = steps.a_column == 1 ? j : i;
  const int bk = steps.b_column == 1 ? i : j, bc = steps.b_column == 1 ? j : i;
  const bool a_there = corner.row + ar < m, b_there = corner.column + bc < n;
  const float* from_a = piece.a + (corner.row + ar) * steps.a_row + ak * steps.a_column;
  const float* from_b = piece.b + bk * steps.b_row + (corner.column + bc) * steps.b_column;
  float sum = 0.0f;
  for (int begin = 0; begin < piece.k; begin += kSide) {
    a_tile[ar][ak] = a_there && begin + ak < piece.k ? from_a[begin * steps.a_column] : 0.0f;
    b_tile[bk][bc] = b_there && begin + bk < piece.k ? from_b[begin * steps.b_row] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kSide; ++d) sum += a_tile[i][d] * b_tile[d][j];
    __syncthreads();  // before the next tiles are written
  }
  if (row < m && column < n) piece.y[static_cast<Size>(row) * n + column] = sum;
}

// The matrices lie in rows or, where they are transposed, in columns.
#define REGISTER(NAME, A, B, BLOCKS)                                                                  \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                           \
      NAME(float* y, const float* a, const float* b, int m, int n, int k, const Operands steps) {     \
    const Piece piece(y, a, b, m, n, k, steps, blockIdx.z);                                           \
    const Size a_step = A == Along::depth ? steps.a_row : steps.a_column;                             \
    const Size b_step = B == Along::depth ? steps.b_column : steps.b_row;                             \
    gemm<A, B>(                                                                                       \
        m, n, piece.k, [&](int row, int d) { return piece.a[place<A>(row, d, a_step)]; },             \
        [&](int d, int column) { return piece.b[place<B>(column, d, b_step)]; },                      \
        [&](float sum, int row, int column) { piece.y[static_cast<Size>(row) * n + column] = sum; }); \
  }

REGISTER(matmul_forward_register_rows_rows, Along::depth, Along::width, 2)
REGISTER(matmul_forward_register_rows_columns, Along::depth, Along::depth, 3)
REGISTER(matmul_forward_register_columns_rows, Along::width, Along::width, 2)
REGISTER(matmul_forward_register_columns_columns, Along::width, Along::depth, 2)

#define WIDE(RUNG, NAME, A, B)                                                                                    \
  extern "C" __global__ void __launch_bounds__(256, 2)                                                            \
      NAME(float* y, const float* a, const float* b, int m, int n, int k, const Operands steps) {                 \
    const Piece piece(y, a, b, m, n, k, steps, blockIdx.z);                                                       \
    const Corner128<int> corner(m, n);                                                                            \
    const Panel<A> rows(piece.a, A == Along::depth ? steps.a_row : steps.a_column, corner.row, m, piece.k);       \
    const Panel<B> columns(piece.b, B == Along::depth ? steps.b_column : steps.b_row, corner.column, n, piece.k); \
    RUNG<A, B>(corner, m, n, piece.k, rows, columns, [=](const float4& sums, int row, int column) {               \
      float* to = y + static_cast<Size>(blockIdx.z) * m * n;                                                      \
      write4(to + static_cast<Size>(row) * n + column, sums, n - column, in_fours(to, n));                        \
    });                                                                                                           \
  }

WIDE(gemm_vectorized, matmul_forward_vectorized_rows_rows, Along::depth, Along::width)
WIDE(gemm_vectorized, matmul_forward_vectorized_rows_columns, Along::depth, Along::depth)
WIDE(gemm_vectorized, matmul_forward_vectorized_columns_rows, Along::width, Along::width)
WIDE(gemm_vectorized, matmul_forward_vectorized_columns_columns, Along::width, Along::depth)
WIDE(gemm_warp_tiled, matmul_forward_warp_tiled_rows_rows, Along::depth, Along::width)
WIDE(gemm_warp_tiled, matmul_forward_warp_tiled_rows_columns, Along::depth, Along::depth)
WIDE(gemm_warp_tiled, matmul_forward_warp_tiled_columns_rows, Along::width, Along::width)
WIDE(gemm_warp_tiled, matmul_forward_warp_tiled_columns_columns, Along::width, Along::depth)

// y (batch, size) = the sum of parts (batch, pieces, size) over the pieces
extern "C" __global__ void __launch_bounds__(256)
    matmul_forward_sum(float* y, const float* parts, long long batch, long long size, int pieces) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= batch * size) return;
  parts += i / size * pieces * size + i % size;
  float sum = 0.0f;
  for (int p = 0; p < pieces; ++p) sum += parts[p * size];
  y[i] = sum;
}
