// The inner loops of the matrix product: a register tile, a dot product of short rows, and the packing for both.
//
// The tile is R rows by N vectors of accumulators, every one of them in a register; its loop is R broadcasts, N loads
// and R * N multiply-adds. X is the operand that is broadcast, Y the one that is read by vectors.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "cpu/gemm.h"
#include "cpu/simd.h"
#include "cpu/turn.h"

namespace minigrad {
namespace tile {

constexpr Size W = VFloat::lanes;
#if defined(__aarch64__)
constexpr int kRows = 8, kVectors = 3;  // 24 accumulators of 32 registers
#else
constexpr int kRows = W == 16 ? 14 : 6, kVectors = 2;  // 28 of AVX-512's 32 registers, 12 of 16 otherwise
#endif
constexpr Size kPanel = kVectors * W;

using Vec = VFloat::Vec;  // bare vectors: g++ keeps an array of them in registers

inline Vec load(const float* p) { return VFloat::load(p).v; }
inline void store(float* p, Vec v) { VFloat(v).store(p); }

// Rows that lie far apart are no pattern that the hardware sees in time.
constexpr Size kAhead = 16;
inline void prefetch(const float* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#endif
}

// Where a tile goes and what happens to it on the way.
struct Target {
  float* c;  // C at the tile's corner
  Size ldc;
  Size rows, cols;    // of the tile
  const float* bias;  // per column of C, or null
  bool turned;        // its rows are columns of C
  bool add;           // C += instead of C =
  bool relu;          // negative results become 0
};

#if defined(__GNUC__)
#define MINIGRAD_NOINLINE __attribute__((noinline))  // one body for all tiles keeps the build short
#else
#define MINIGRAD_NOINLINE
#endif

// NaN passes.
template <class V>
V clipped(V value, bool relu) {
  return relu ? (value < V{} ? V{} : value) : value;
}

// N / 2 lanes of x from `first`.
template <int first, int N, int... I>
Simd<float, N / 2> half(Simd<float, N> x, std::integer_sequence<int, I...>) {
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
  if constexpr (N > 2) return Simd<float, N / 2>(__builtin_shufflevector(x.v, x.v, (first + I)...));
#endif
  return Simd<float, N / 2>::load(reinterpret_cast<const float*>(&x.v) + first);
}

// The first n lanes to p, n a constant: by halves, which spares the way through memory that store(p, n) takes.
template <int n, int N>
void store_first(Simd<float, N> x, float* p) {
  constexpr auto lanes = std::make_integer_sequence<int, N / 2>{};
  if constexpr (n == N) {
    x.store(p);
  } else if constexpr (n <= N / 2) {
    store_first<n>(half<0>(x, lanes), p);
  } else {
    half<0>(x, lanes).store(p);
    store_first<n - N / 2>(half<N / 2>(x, lanes), p + N / 2);
  }
}

// `n` neighbours of a row of C; a constant n makes short work of it.
template <class Count>
void emit(VFloat value, float* c, const Target& t, Count n) {
  if (t.add) value += VFloat::load(c, n);
  value = clipped(value.v, t.relu);
  if constexpr (std::is_same_v<Count, Size>)
    value.store(c, n);
  else
    store_first<Count::value>(value, c);
}
template <int n>
using Constant = std::integral_constant<int, n>;

// A tile of `width` floats to a row that is a part of C as it lies.
MINIGRAD_NOINLINE inline void store_rows(const float* tile, Size width, const Target& t) {
  const auto some = [&](Size i, Size j, auto n) {
    const VFloat value = VFloat::load(tile + i * width + j);
    emit(t.bias ? value + VFloat::load(t.bias + j, n) : value, t.c + i * t.ldc + j, t, n);
  };
  for (Size i = 0; i < t.rows; ++i) {
    Size j = 0;
    for (; j + W <= t.cols; j += W) some(i, j, Constant<W>());
    if (j < t.cols) some(i, j, t.cols - j);
  }
}

// R rows of a tile, at most W, that are columns of C.
template <int R>
void store_columns(const float* tile, Size width, const Target& t, int left) {
  const VFloat bias = t.bias ? VFloat::load(t.bias + left, R) : VFloat(0.0f);
  for (Size j = 0; j < t.cols; j += W) {
    VFloat square[W];
    for (int i = 0; i < W; ++i) square[i] = i < R ? VFloat::load(tile + (left + i) * width + j) : bias;
    transpose(square);
    float* c = t.c + j * t.ldc + left;
    for (Size l = 0; l < std::min(W, t.cols - j); ++l, c += t.ldc) emit(square[l] + bias, c, t, Constant<R>());
  }
}

template <int R>
MINIGRAD_NOINLINE void store_turned(const float* tile, Size width, const Target& t) {
  for (int left = 0; left + W <= R; left += W) store_columns<W>(tile, width, t, left);
  if constexpr (R % W != 0) store_columns<R % W>(tile, width, t, R / W * W);
}

// `depth` steps of an R x (N W) tile. With `pack`, the rows of Y are copied to the panel on their way through.
template <int R, int N, bool pack>
void multiply(Size depth, Matrix x, const float* y, Size y_row, float* panel, const Target& t) {
  Vec acc[R][N] = {};
  const float* px = x.data;
#pragma GCC unroll 4
  for (Size p = 0; p < depth; ++p) {
    Vec row[N];
    for (int v = 0; v < N; ++v) row[v] = load(y + v * W);
    if constexpr (pack) {
      for (int v = 0; v < N; ++v) store(panel + v * W, row[v]);
      panel += N * W;
      prefetch(y + kAhead * y_row), prefetch(y + kAhead * y_row + N * W - 1);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec broadcast = VFloat(px[i * x.row]).v;
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) acc[i][v] += broadcast * row[v];
    }
    px += x.col;
    y += y_row;
  }
  if (!t.turned && t.cols == N * W) {
    float* const c = t.c;
    const Size ldc = t.ldc;
    const bool add = t.add, relu = t.relu;
    if (const float* bias = t.bias) {
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) acc[i][v] += load(bias + v * W);
    }
    if (add) {
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) acc[i][v] += load(c + i * ldc + v * W);
    }
    if (relu) {
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) acc[i][v] = clipped(acc[i][v], true);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) store(c + i * ldc + v * W, acc[i][v]);
    return;
  }
  // By way of memory, so that no other function sees `acc`: g++ would keep it there from the start.
  alignas(64) float spilled[R * N * W];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) store(spilled + (i * N + v) * W, acc[i][v]);
  t.turned ? store_turned<R>(spilled, N * W, t) : store_rows(spilled, N * W, t);
}

using Multiply = void (*)(Size, Matrix, const float*, Size, float*, const Target&);

template <bool pack, int... R>
Multiply choose(Size rows, std::integer_sequence<int, R...>) {
  static constexpr Multiply table[] = {&multiply<R + 1, kVectors, pack>...};
  return table[rows - 1];
}
// The tile of `rows` rows and kPanel columns.
template <bool pack>
Multiply choose(Size rows) {
  return choose<pack>(rows, std::make_integer_sequence<int, kRows>{});
}

// For few rows, wider tiles that keep enough multiply-adds in flight.
struct Wide {
  Multiply multiply;
  Size columns;
};
inline Wide choose_wide(Size rows) {
  if (rows == 1) return {&multiply<1, 8, false>, 8 * W};
  return {rows == 2 ? &multiply<2, 4, false> : &multiply<3, 4, false>, 4 * W};
}
constexpr Size kWideRows = 3;

// Columns first.. of y, `depth` rows, into a panel; missing columns become zeros.
inline void pack_panel(Matrix y, Size depth, Size first, Size columns, float* panel) {
  const float* source = y.data + first * y.col;
  if (y.col == 1) {
    for (Size p = 0; p < depth; ++p, source += y.row, panel += kPanel) {
      for (Size j = 0; j < columns; ++j) panel[j] = source[j];
      for (Size j = columns; j < kPanel; ++j) panel[j] = 0.0f;
    }
    return;
  }
  for (Size p = 0; p < depth; p += kPanel) {  // transposed, by squares
    const Size rows = std::min(kPanel, depth - p);
    copy_turned(panel + p * kPanel, kPanel, source + p, y.col, rows, columns);
    for (Size i = p; i < p + rows; ++i)
      for (Size j = columns; j < kPanel; ++j) panel[i * kPanel + j] = 0.0f;
  }
}

// `count` panels side by side of a y that lies by rows, row by row.
template <int count>
void copy_panels(const float* y, Size y_row, Size depth, float* panels) {
  for (Size p = 0; p < depth; ++p, y += y_row)
    for (int j = 0; j < count; ++j)
      for (int v = 0; v < kVectors; ++v) store(panels + (j * depth + p) * kPanel + v * W, load(y + j * kPanel + v * W));
}

// Columns first.., into panels one after the other.
inline void pack_panels(Matrix y, Size depth, Size first, Size columns, float* panels) {
  Size j = 0;
  if (y.col == 1) {
    for (; j + 4 * kPanel <= columns; j += 4 * kPanel)
      copy_panels<4>(y.data + first + j, y.row, depth, panels + j * depth);
    for (; j + kPanel <= columns; j += kPanel) copy_panels<1>(y.data + first + j, y.row, depth, panels + j * depth);
  }
  for (; j < columns; j += kPanel) pack_panel(y, depth, first + j, std::min(kPanel, columns - j), panels + j * depth);
}

// The rows of a tile of X that lies by columns, side by side: R floats for each step. Whole vectors are copied, what is
// too much is written over by the next step; `out` is not touched beyond the last.
template <int R>
void pack_rows(Matrix x, Size depth, float* out) {
  constexpr int vectors = (R + W - 1) / W;
  for (Size p = 0; p + 1 < depth; ++p, x.data += x.col, out += R) {
    for (int v = 0; v < vectors; ++v) store(out + v * W, load(x.data + v * W));
    prefetch(x.data + kAhead * x.col);
  }
  std::memcpy(out, x.data, R * sizeof(float));
}

using PackRows = void (*)(Matrix, Size, float*);
template <int... R>
PackRows choose_pack(Size rows, std::integer_sequence<int, R...>) {
  static constexpr PackRows table[] = {&pack_rows<R + 1>...};
  return table[rows - 1];
}
inline PackRows choose_pack(Size rows) { return choose_pack(rows, std::make_integer_sequence<int, kRows>{}); }

// The sums of the lanes of R vectors, as lanes.
template <int R>
VFloat sums(const Vec (&acc)[R]) {
  VFloat square[W], total(0.0f);
  for (int i = 0; i < W; ++i) square[i] = i < R ? VFloat(acc[i < R ? i : 0]) : VFloat(0.0f);
  transpose(square);
  for (int i = 0; i < W; ++i) total += square[i];
  return total;
}

// Scalar products of R rows of a with `b_rows` rows of b, all of length k: c[i * c_row + j * c_col]. The rows of b are
// read one after the other, as they lie in memory: nothing streams faster.
template <int R>
void dots(Size k, const float* a, Size a_row, const float* b, Size b_row, Size b_rows, float* c, Size c_row,
          Size c_col) {
  constexpr int U = R == 1 ? 8 : R == 2 ? 4 : R <= 4 ? 2 : 1;  // enough multiply-adds in flight
  for (Size j = 0; j < b_rows; ++j, b += b_row) {
    Vec acc[U][R] = {};
    Size p = 0;
    for (; p + U * W <= k; p += U * W)
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) {
        const Vec from_b = load(b + p + u * W);
#pragma GCC unroll 8
        for (int i = 0; i < R; ++i) acc[u][i] += load(a + i * a_row + p + u * W) * from_b;
      }
    for (; p < k; p += W) {
      const Size n = std::min(W, k - p);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) acc[0][i] += VFloat::load(a + i * a_row + p, n).v * VFloat::load(b + p, n).v;
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
      for (int u = 1; u < U; ++u) acc[0][i] += acc[u][i];
    if constexpr (R <= 2 || R > W) {
      for (int i = 0; i < R; ++i) c[i * c_row + j * c_col] = sum(VFloat(acc[0][i]));
    } else {
      const VFloat total = sums<R>(acc[0]);
      for (int i = 0; i < R; ++i) c[i * c_row + j * c_col] = total[i];
    }
  }
}

using Dots = void (*)(Size, const float*, Size, const float*, Size, Size, float*, Size, Size);
constexpr Dots kDots[] = {&dots<1>, &dots<2>, &dots<3>, &dots<4>, &dots<5>, &dots<6>, &dots<7>, &dots<8>};
constexpr Size kDotRows = 8;

}  // namespace tile
}  // namespace minigrad
