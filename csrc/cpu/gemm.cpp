// Matrix product: how it is cut into tiles (gemm_tile.h). Read gemm, then plan, then run_block.
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

#include "cpu/gemm_tile.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

using tile::kPanel;
constexpr Size MR = tile::kRows;
constexpr Size kDepth = 1024;               // most rows of a packed panel
constexpr Size kBlockRows = 4096;           // rows of all panels of a block: they stay in the second-level cache
constexpr Size kBlockWork = Size{1} << 19;  // multiplications per block that make a thread worth its while
constexpr Size kWantedBlocks = 32;

// The product in its parts: which operand is X, which Y, how it is cut.
struct Plan {
  Size rows, cols, depth;  // of X Y
  Matrix x, y;
  Size c_row, c_col;
  bool swapped, packed;  // the roles of a and b; Y packed in whole before the product
  Size tiles, panels;    // of MR rows, of kPanel columns
  Size block_tiles, block_panels, row_blocks, col_blocks;
  Size slices, slice;  // the depth is cut into `slices` of at most `slice`
};

Size ceil_div(Size a, Size b) { return (a + b - 1) / b; }

// Estimated cost in vector steps: tiles with their waste, packing by transposition, transposed stores.
double cost(Size rows, Size cols, Size depth, bool transposes, bool turned) {
  const double tiles = double(ceil_div(rows, MR)) * double(ceil_div(cols, kPanel));
  return tiles * double(depth) * (MR * tile::kVectors / 2.0) + (transposes ? 1.0 * double(cols) * double(depth) : 0.0) +
         (turned ? 1.0 * double(rows) * double(cols) : 0.0);
}

// Wide blocks read X seldom, narrow ones share the work; rows are cut where the columns alone give too few blocks.
void cut(Plan& p) {
  p.tiles = ceil_div(p.rows, MR), p.panels = ceil_div(p.cols, kPanel);
  p.slices = std::max<Size>(1, ceil_div(p.depth, kDepth)), p.slice = ceil_div(p.depth, p.slices);
  const Size work = std::max<Size>(p.rows, 8) * p.cols * p.depth;  // few rows cost the reading of Y
  const Size wanted = std::clamp<Size>(work / kBlockWork, 1, kWantedBlocks);
  const Size most_rows = p.packed ? p.tiles : std::max<Size>(1, p.tiles / 8);  // a panel must serve some tiles
  const Size widest = std::clamp<Size>(kBlockRows / std::max<Size>(p.slice, 1), 1, 8);
  p.block_panels = std::clamp<Size>(p.panels * most_rows / wanted, 1, widest);
  if (p.rows <= 3) p.block_panels = ceil_div(p.block_panels, 4) * 4;  // room for the wide tiles
  p.col_blocks = ceil_div(p.panels, p.block_panels);
  p.block_tiles = ceil_div(p.tiles, std::clamp<Size>(ceil_div(wanted, p.col_blocks), 1, most_rows));
  p.row_blocks = ceil_div(p.tiles, p.block_tiles);
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
  cut(p);
  return p;
}

// First row of tile i when `rows` are shared evenly by `tiles`.
Size tile_start(Size i, Size rows, Size tiles) { return i * (rows / tiles) + std::min(i, rows % tiles); }

struct Job {
  const Gemm& g;
  const Plan& p;
  Matrix x, y;
  float* c;
  const float* packed;  // all of Y in panels, or null
};

// Offset of a panel in the packed Y.
Size packed_at(const Plan& p, Size slice, Size panel) {
  return (slice * p.slice * p.panels + panel * std::min(p.slice, p.depth - slice * p.slice)) * kPanel;
}

// One row tile against the panels first..last of slice s. `own` holds the panels of the block, packed by its first
// tile.
void run_row(const Job& job, Size s, Size row, Size rows, Matrix x, Size first, Size last, float* own, bool packs,
             bool keep) {
  const Plan& p = job.p;
  const Size top = s * p.slice, depth = std::min(p.slice, p.depth - top), end = std::min(p.cols, last * kPanel);
  const float* bias = s + 1 == p.slices ? job.g.bias : nullptr;
  const float* panels = job.packed ? job.packed + packed_at(p, s, first) : own;
  const tile::Multiply multiply = tile::choose<false>(rows);
  const tile::Wide wide = keep || job.packed ? tile::Wide{} : tile::choose_wide(rows);
  const Size span = wide.vectors * tile::W;
  tile::Target t{job.c + row * p.c_row,          p.c_row, p.c_col, rows, 0, nullptr, nullptr, s > 0 || job.g.accumulate,
                 job.g.relu && s + 1 == p.slices};
  if (p.swapped && bias) t.row_bias = bias + row;
  for (Size column = first * kPanel; column < end; column += t.cols) {
    const float* in_place = job.y.data + top * job.y.row + column;
    float* panel = own + (column - first * kPanel) * depth;
    t.c = job.c + row * p.c_row + column * p.c_col, t.cols = std::min(kPanel, end - column);
    if (!p.swapped && bias) t.col_bias = bias + column;
    if (span && column + span <= end) {
      t.cols = span;
      wide.multiply(depth, x, in_place, job.y.row, nullptr, t);
    } else if (packs && t.cols == kPanel && keep) {
      tile::choose<true>(rows)(depth, x, in_place, job.y.row, panel, t);
    } else if (packs && t.cols == kPanel) {
      multiply(depth, x, in_place, job.y.row, nullptr, t);
    } else {
      if (packs) tile::pack_panel(job.y, top, depth, column, t.cols, panel);
      multiply(depth, x, panels + (column - first * kPanel) * depth, kPanel, nullptr, t);
    }
  }
}

void run_block(const Job& job, Size row_block, Size col_block) {
  const Plan& p = job.p;
  const Size first_tile = row_block * p.block_tiles, last_tile = std::min(p.tiles, first_tile + p.block_tiles);
  const Size first = col_block * p.block_panels, last = std::min(p.panels, first + p.block_panels);
  const bool keep = !job.packed && last_tile - first_tile > 1;  // a panel used once is not worth packing
  const bool packs_x = job.x.row == 1 && job.x.col != 1 && last - first >= 4;
  float* panels = thread_scratch(((last - first) * kPanel + MR) * p.slice);
  float* rows_of_x = panels + (last - first) * kPanel * p.slice;
  for (Size s = 0; s < p.slices; ++s)
    for (Size i = first_tile; i < last_tile; ++i) {
      const Size row = tile_start(i, p.rows, p.tiles), rows = tile_start(i + 1, p.rows, p.tiles) - row;
      Matrix x{job.x.data + row * job.x.row + s * p.slice * job.x.col, job.x.row, job.x.col};
      if (packs_x) {
        tile::choose_pack(rows)(x, std::min(p.slice, p.depth - s * p.slice), rows_of_x);
        x = {rows_of_x, 1, rows};
      }
      run_row(job, s, row, rows, x, first, last, panels, !job.packed && i == first_tile, keep);
    }
}

void pack_all(const Plan& p, Matrix y, float* packed) {
  parallel_for(p.slices * p.panels, row_grain(p.slice * kPanel * 2), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size s = task / p.panels, j = task % p.panels, top = s * p.slice;
      tile::pack_panel(y, top, std::min(p.slice, p.depth - top), j * kPanel, std::min(kPanel, p.cols - j * kPanel),
                       packed + packed_at(p, s, j));
    }
  });
}

// No steps at all: C is the bias, or zero.
void fill_empty(const Gemm& g, Size count, Size c_step) {
  for (Size i = 0; i < count && !g.accumulate; ++i)
    for (Size r = 0; r < g.m; ++r)
      for (Size j = 0; j < g.n; ++j) g.c[i * c_step + r * g.ldc + j] = g.bias ? tile::clipped(g.bias[j], g.relu) : 0.0f;
}

// a (few rows) b^T, both with rows in one piece: scalar products read the large operand once, as it lies.
bool few_rows(const Gemm& g) {
  return std::min(g.m, g.n) <= tile::kDotRows && g.a.col == 1 && g.b.row == 1 && !g.accumulate && g.k >= 4 * tile::W;
}

void multiply_few_rows(const Gemm& g) {
  const bool swapped = g.m > g.n;
  const Size few = swapped ? g.n : g.m, many = swapped ? g.m : g.n;
  const float *small = swapped ? g.b.data : g.a.data, *large = swapped ? g.a.data : g.b.data;
  const Size small_row = swapped ? g.b.col : g.a.row, large_row = swapped ? g.a.row : g.b.col;
  const Size c_small = swapped ? 1 : g.ldc, c_large = swapped ? g.ldc : 1;
  parallel_for(ceil_div(many, 4), row_grain(4 * g.k), [&](Size begin, Size end) {
    for (Size j = 4 * begin; j < std::min(many, 4 * end); j += 4) {
      const Size rows = std::min<Size>(4, many - j);
      float* c = g.c + j * c_large;
      tile::kDots[few - 1](g.k, small, small_row, large + j * large_row, large_row, rows, c, c_small, c_large);
      for (Size i = 0; i < few && (g.bias || g.relu); ++i)
        for (Size l = 0; l < rows; ++l) {
          float& value = c[i * c_small + l * c_large];
          value = tile::clipped(value + (g.bias ? g.bias[swapped ? i : j + l] : 0.0f), g.relu);
        }
    }
  });
}

}  // namespace

void gemm(const Gemm& g, Size count, Size a_step, Size b_step, Size c_step) {
  if (g.m == 0 || g.n == 0 || count == 0) return;
  if (g.k == 0) return fill_empty(g, count, c_step);
  if (count == 1 && few_rows(g)) return multiply_few_rows(g);
  const Plan p = plan(g);
  const Size x_step = p.swapped ? b_step : a_step, y_step = p.swapped ? a_step : b_step;
  const Size copies = y_step ? count : 1, packed_size = p.panels * kPanel * p.depth;
  const Scratch<float> packed(p.packed ? copies * packed_size : 0);
  const auto at = [](Matrix matrix, Size offset) { return Matrix{matrix.data + offset, matrix.row, matrix.col}; };
  for (Size i = 0; p.packed && i < copies; ++i) pack_all(p, at(p.y, i * y_step), packed.data() + i * packed_size);
  const Size blocks = p.row_blocks * p.col_blocks, work = std::max<Size>(1, p.rows * p.cols * p.depth / blocks);
  parallel_for(count * blocks, std::max<Size>(1, kBlockWork / 2 / work), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size i = task / blocks, block = task % blocks;
      const float* panels = p.packed ? packed.data() + (y_step ? i : 0) * packed_size : nullptr;
      const Job job{g, p, at(p.x, i * x_step), at(p.y, i * y_step), g.c + i * c_step, panels};
      run_block(job, block % p.row_blocks, block / p.row_blocks);
    }
  });
}

}  // namespace minigrad
