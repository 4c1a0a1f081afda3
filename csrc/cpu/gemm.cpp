// Matrix product: a register tile of MR rows by NV vectors, run over panels of one operand. Read plan, then run_block,
// then tile.
//
// One operand, X, is broadcast element by element and may have any strides; the other, Y, is read a vector at a time
// and must be contiguous along the tile, in place or after packing into panels of kPanel columns. Either operand of the
// product can play either part (C^T = B^T A^T), so a transposed product picks the part that needs the smaller packing
// and stores its tiles transposed. The first row tile of a block packs the panel while it multiplies, so packing costs
// no pass of its own.
//
// The cut into blocks depends on the shape alone, and so do the bits of the result.
// Source: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008).

#include "cpu/gemm.h"

#include <algorithm>
#include <utility>

#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

constexpr Size W = VFloat::lanes;
#if defined(__AVX512F__)
constexpr int MR = 14, NV = 2;  // 28 accumulators of 32 registers
#elif defined(__aarch64__)
constexpr int MR = 8, NV = 3;
#else
constexpr int MR = 6, NV = 2;  // 12 accumulators of 16 registers
#endif
constexpr Size kPanel = NV * W;
constexpr Size kDepth = 1024;     // rows of a packed panel: NV * 64 KiB at most, it stays in the second-level cache
constexpr Size kBlockPanels = 8;  // panels per block, where there are enough of them
constexpr Size kBlockWork = Size{1} << 19;  // multiplications per block that make a thread worth its while
constexpr Size kWantedBlocks = 32;

using Vec = VFloat::Vec;  // bare vectors: every accumulator must live in a register

Vec load(const float* p) { return VFloat::load(p).v; }
void store(float* p, Vec v) { VFloat(v).store(p); }

// Where a tile goes: C, its strides, and what is added on the way.
struct Target {
  float* c;
  Size row, col;          // one of the two is 1
  Size rows, cols;        // of the tile, cols <= kPanel
  const float* row_bias;  // per row of the tile, or null
  const float* col_bias;  // per column, or null
  bool add;               // C += instead of C =
};

void store_any(const float* tile, const Target& t) {
  for (Size i = 0; i < t.rows; ++i)
    for (Size j = 0; j < t.cols; ++j) {
      float& c = t.c[i * t.row + j * t.col];
      float value = tile[i * kPanel + j];
      if (t.row_bias) value += t.row_bias[i];
      if (t.col_bias) value += t.col_bias[j];
      c = t.add ? c + value : value;
    }
}

// `depth` steps of an R x kPanel tile. With `pack`, the rows of Y are copied to the panel on their way through.
template <int R, bool pack>
void tile(Size depth, Matrix x, const float* y, Size y_row, float* panel, const Target& t) {
  Vec acc[R][NV] = {};
  const float* px = x.data;
  for (Size p = 0; p < depth; ++p) {
    Vec row[NV];
    for (int v = 0; v < NV; ++v) row[v] = load(y + v * W);
    if constexpr (pack) {
      for (int v = 0; v < NV; ++v) store(panel + v * W, row[v]);
      panel += kPanel;
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec broadcast = VFloat(px[i * x.row]).v;
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[i][v] += broadcast * row[v];
    }
    px += x.col;
    y += y_row;
  }
  if (t.col == 1 && t.cols == kPanel && !t.row_bias) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        float* c = t.c + i * t.row + v * W;
        Vec value = acc[i][v];
        if (t.col_bias) value += load(t.col_bias + v * W);
        store(c, t.add ? load(c) + value : value);
      }
    return;
  }
  alignas(64) float spilled[R * kPanel];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(spilled + i * kPanel + v * W, acc[i][v]);
  store_any(spilled, t);
}

using Tile = void (*)(Size, Matrix, const float*, Size, float*, const Target&);

template <bool pack, int... R>
Tile choose_tile(Size rows, std::integer_sequence<int, R...>) {
  static constexpr Tile table[] = {&tile<R + 1, pack>...};
  return table[rows - 1];
}
template <bool pack>
Tile choose_tile(Size rows) {
  return choose_tile<pack>(rows, std::make_integer_sequence<int, MR>{});
}

// Columns first.. of y, `depth` rows from `top`, into a panel; missing columns become zeros.
void pack_panel(Matrix y, Size top, Size depth, Size first, Size columns, float* panel) {
  const float* source = y.data + top * y.row + first * y.col;
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

// The product in its parts: which operand is X, which Y, how it is cut.
struct Plan {
  Size rows, cols, depth;  // of X Y
  Matrix x, y;
  Size c_row, c_col;
  bool swapped, packed;  // Y packed in whole before the product
  Size tiles, panels;    // of MR rows, of kPanel columns
  Size block_tiles, block_panels, row_blocks, col_blocks;
  Size slices, slice;  // the depth is cut into `slices` of at most `slice`
};

// Estimated cost in vector steps: tiles with their waste, packing by transposition, transposed stores.
double cost(Size rows, Size cols, Size depth, bool transposes, bool transposed_store) {
  const double tiles = double((rows + MR - 1) / MR) * double((cols + kPanel - 1) / kPanel);
  return tiles * double(depth) * (MR * NV / 2.0) + (transposes ? 2.0 * double(cols) * double(depth) : 0.0) +
         (transposed_store ? 1.5 * double(rows) * double(cols) : 0.0);
}

Plan plan(const Gemm& g) {
  Plan p{};
  const bool a_ready = g.a.row == 1, b_ready = g.b.col == 1;
  p.swapped = cost(g.n, g.m, g.k, !a_ready, true) < cost(g.m, g.n, g.k, !b_ready, false);
  p.rows = p.swapped ? g.n : g.m, p.cols = p.swapped ? g.m : g.n, p.depth = g.k;
  p.x = p.swapped ? Matrix{g.b.data, g.b.col, g.b.row} : g.a;
  p.y = p.swapped ? Matrix{g.a.data, g.a.col, g.a.row} : g.b;
  p.c_row = p.swapped ? 1 : g.ldc, p.c_col = p.swapped ? g.ldc : 1;
  p.packed = p.y.col != 1;
  p.tiles = (p.rows + MR - 1) / MR, p.panels = (p.cols + kPanel - 1) / kPanel;
  p.slices = std::max<Size>(1, (p.depth + kDepth - 1) / kDepth), p.slice = (p.depth + p.slices - 1) / p.slices;
  // Wide blocks read X seldom; narrow ones share the work. Then rows are cut where the columns alone give too few
  // blocks.
  const Size work = p.rows * p.cols * p.depth;
  const Size wanted = std::clamp<Size>(work / kBlockWork, 1, kWantedBlocks);
  p.block_panels = std::clamp<Size>(p.panels / wanted, 1, kBlockPanels);
  p.col_blocks = (p.panels + p.block_panels - 1) / p.block_panels;
  p.row_blocks = std::clamp<Size>(wanted / p.col_blocks, 1, p.packed ? p.tiles : std::max<Size>(1, p.tiles / 8));
  p.block_tiles = (p.tiles + p.row_blocks - 1) / p.row_blocks;
  p.row_blocks = (p.tiles + p.block_tiles - 1) / p.block_tiles;
  return p;
}

// Rows of tile i when `rows` are shared evenly by `tiles`.
Size tile_start(Size i, Size rows, Size tiles) { return i * (rows / tiles) + std::min(i, rows % tiles); }

struct Job {
  const Gemm& g;
  const Plan& p;
  const float *a, *b;
  float* c;
  const float* packed;  // all of Y in panels, or null
};

// Offset of a panel in the packed Y.
Size packed_at(const Plan& p, Size slice, Size panel) {
  return (slice * p.slice * p.panels + panel * std::min(p.slice, p.depth - slice * p.slice)) * kPanel;
}

void run_block(const Job& job, Size row_block, Size col_block) {
  const Plan& p = job.p;
  const Size first_tile = row_block * p.block_tiles, last_tile = std::min(p.tiles, first_tile + p.block_tiles);
  const Size first_panel = col_block * p.block_panels, last_panel = std::min(p.panels, first_panel + p.block_panels);
  Matrix x = p.x, y = p.y;
  x.data = p.swapped ? job.b : job.a, y.data = p.swapped ? job.a : job.b;
  const bool keep = !job.packed && last_tile - first_tile > 1;  // a panel used once is not worth packing
  float* scratch = job.packed ? nullptr : thread_scratch((last_panel - first_panel) * p.slice * kPanel);
  for (Size s = 0; s < p.slices; ++s) {
    const Size top = s * p.slice, depth = std::min(p.slice, p.depth - top);
    for (Size i = first_tile; i < last_tile; ++i) {
      const Size row = tile_start(i, p.rows, p.tiles), rows = tile_start(i + 1, p.rows, p.tiles) - row;
      const Matrix xs{x.data + row * x.row + top * x.col, x.row, x.col};
      for (Size j = first_panel; j < last_panel; ++j) {
        const Size column = j * kPanel, columns = std::min(kPanel, p.cols - column);
        const bool first = i == first_tile, whole = columns == kPanel;
        float* own = scratch ? scratch + (j - first_panel) * depth * kPanel : nullptr;
        const float* bias = s + 1 == p.slices && job.g.bias ? job.g.bias : nullptr;
        const Target t{job.c + row * p.c_row + column * p.c_col,
                       p.c_row,
                       p.c_col,
                       rows,
                       columns,
                       bias && p.swapped ? bias + row : nullptr,
                       bias && !p.swapped ? bias + column : nullptr,
                       s > 0 || job.g.accumulate};
        const float* in_place = y.data + top * y.row + column;
        if (job.packed) {
          choose_tile<false>(rows)(depth, xs, job.packed + packed_at(p, s, j), kPanel, nullptr, t);
        } else if (first && !whole) {
          pack_panel(y, top, depth, column, columns, own);
          choose_tile<false>(rows)(depth, xs, own, kPanel, nullptr, t);
        } else if (first && keep) {
          choose_tile<true>(rows)(depth, xs, in_place, y.row, own, t);
        } else if (first) {
          choose_tile<false>(rows)(depth, xs, in_place, y.row, nullptr, t);
        } else {
          choose_tile<false>(rows)(depth, xs, own, kPanel, nullptr, t);
        }
      }
    }
  }
}

void pack_all(const Plan& p, Matrix y, float* packed) {
  parallel_for(p.slices * p.panels, row_grain(p.slice * kPanel * 2), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size s = task / p.panels, j = task % p.panels, top = s * p.slice;
      pack_panel(y, top, std::min(p.slice, p.depth - top), j * kPanel, std::min(kPanel, p.cols - j * kPanel),
                 packed + packed_at(p, s, j));
    }
  });
}

void fill_empty(const Gemm& g, Size count, Size c_step) {
  if (g.accumulate) return;
  for (Size i = 0; i < count; ++i)
    for (Size r = 0; r < g.m; ++r)
      for (Size j = 0; j < g.n; ++j) g.c[i * c_step + r * g.ldc + j] = g.bias ? g.bias[j] : 0.0f;
}

}  // namespace

void gemm(const Gemm& g, Size count, Size a_step, Size b_step, Size c_step) {
  if (g.m == 0 || g.n == 0 || count == 0) return;
  if (g.k == 0) return fill_empty(g, count, c_step);
  const Plan p = plan(g);
  const Size y_step = p.swapped ? a_step : b_step, copies = y_step ? count : 1,
             packed_size = p.panels * kPanel * p.depth;
  const Scratch<float> packed(p.packed ? copies * packed_size : 0);
  if (p.packed)
    for (Size i = 0; i < copies; ++i) {
      Matrix y = p.y;
      y.data += i * y_step;
      pack_all(p, y, packed.data() + i * packed_size);
    }
  const Size blocks = p.row_blocks * p.col_blocks, work = std::max<Size>(1, p.rows * p.cols * p.depth / blocks);
  parallel_for(count * blocks, std::max<Size>(1, kBlockWork / 2 / work), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size i = task / blocks, block = task % blocks;
      const Job job{g,
                    p,
                    g.a.data + i * a_step,
                    g.b.data + i * b_step,
                    g.c + i * c_step,
                    p.packed ? packed.data() + (y_step ? i : 0) * packed_size : nullptr};
      run_block(job, block % p.row_blocks, block / p.row_blocks);
    }
  });
}

}  // namespace minigrad
