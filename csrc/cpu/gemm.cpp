// Matrix product: how it is cut into tiles (gemm_tile.h). Read gemm, then plan, then run_slice.
//
// One operand, X, is broadcast element by element and may have any strides; the other, Y, is read a vector at a time
// and must be contiguous along the tile, in place or packed into panels of kPanel columns. Either operand of the
// product can play either part (C^T = B^T A^T), so a transposed product picks the part that needs the smaller packing
// and stores its tiles transposed.
//
// The depth is cut into slices. For each of them first what needs it is packed, then the blocks of C are computed: a
// block's part of X stays in the second-level cache, one panel of Y at a time in the first. Where one row of blocks is
// all there is, the first tile packs the panel on its way, and packing costs no pass of its own.
//
// Every cut depends on the shape alone, and so do the bits of the result.
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
constexpr Size kDepth = 512;  // most rows of a panel
constexpr Size kDeep = 1024;  // the same where C is dear: few row tiles, or turned ones
constexpr Size kFewTiles = 24;
constexpr Size kBlockX = 65536;             // elements of X in a block: they stay in the second-level cache
constexpr Size kBlockWork = Size{1} << 19;  // multiplications per block that make a thread worth its while
constexpr Size kWantedBlocks = 32;
constexpr Size kSmallX = 8192;               // elements of few rows that stay in the first-level cache
constexpr Size kSmallC = 16384;              // elements of a C that
constexpr Size kPart = 512;                  // threads share in parts of at least so many steps
constexpr Size kMostPacked = Size{1} << 21;  // elements packed at a time
constexpr Size kGroup = 16;                  // tiles of X that are packed by one task
constexpr Size kRun = 16;                    // steps of them that are packed in one go

Size ceil_div(Size a, Size b) { return (a + b - 1) / b; }

// `count` things shared evenly by `parts`: where part i begins.
struct Parts {
  Size parts, least, extra;
  Parts(Size count = 0, Size parts = 1) : parts(parts), least(count / parts), extra(count % parts) {}
  Size operator[](Size i) const { return i * least + std::min(i, extra); }
  Size most() const { return least + (extra > 0); }
};

// The product in its parts: which operand is X, which Y, how it is cut.
struct Plan {
  Size rows, cols, depth;  // of X Y
  Matrix x, y;
  bool swapped;                  // the roles of a and b
  bool packs_x, packs_y, wide;   // before the blocks; few rows, wide tiles
  bool fused;                    // Y is packed by the first tile of each panel
  Size span;                     // columns of a tile
  Size panels;                   // of `span` columns
  Parts tiles;                   // the rows, by MR or one less
  Parts row_blocks, col_blocks;  // the tiles, the panels
  Parts slices;                  // the depth
};

// Estimated cost in vector steps: tiles with their waste, packing by transposition, transposed stores.
double cost(Size rows, Size cols, Size depth, bool transposes, bool turned) {
  const double tiles = double(ceil_div(rows, MR)) * double(ceil_div(cols, kPanel));
  return tiles * double(depth) * (MR * tile::kVectors / 2.0) + (transposes ? 1.0 * double(cols) * double(depth) : 0.0) +
         (turned ? 1.0 * double(rows) * double(cols) : 0.0);
}

// Rows are cut so that a block's X stays in the cache, columns to share the work, and rows again where columns are few.
void cut(Plan& p) {
  const bool y_ready = p.y.col == 1;
  p.tiles = Parts(p.rows, ceil_div(p.rows, MR));
  p.slices = Parts(p.depth, ceil_div(p.depth, p.tiles.parts <= kFewTiles || p.swapped ? kDeep : kDepth));
  p.wide = p.rows <= tile::kWideRows && y_ready;
  p.span = p.wide ? tile::choose_wide(p.rows).columns : kPanel;
  p.panels = ceil_div(p.cols, p.span);
  const Size work = std::max<Size>(p.rows, 8) * p.cols * p.depth;  // few rows cost the reading of Y
  const Size wanted = std::clamp<Size>(work / p.slices.parts / kBlockWork, 1, kWantedBlocks);
  Size rows = ceil_div(p.rows * p.slices.most(), kBlockX);
  Size cols = std::min(ceil_div(p.panels, 2), ceil_div(wanted, rows));
  cols = ceil_div(p.panels, ceil_div(p.panels, cols));
  if (rows * cols < 8) rows = std::max(rows, std::min(std::max<Size>(1, p.tiles.parts / 4), ceil_div(wanted, cols)));
  p.row_blocks = Parts(p.tiles.parts, rows), p.col_blocks = Parts(p.panels, cols);
  p.fused = y_ready && rows == 1;
  p.packs_y = !y_ready || (rows > 1 && p.tiles.parts > 2);
  p.packs_x = p.x.row == 1 && p.x.col != 1 && p.panels > 1;
}

Plan plan(const Gemm& g) {
  Plan p{};
  const bool a_ready = g.a.row == 1, b_ready = g.b.col == 1;
  p.swapped = cost(g.n, g.m, g.k, !a_ready, true) < cost(g.m, g.n, g.k, !b_ready, false);
  p.rows = p.swapped ? g.n : g.m, p.cols = p.swapped ? g.m : g.n, p.depth = g.k;
  p.x = p.swapped ? Matrix{g.b.data, g.b.col, g.b.row} : g.a;
  p.y = p.swapped ? Matrix{g.a.data, g.a.col, g.a.row} : g.b;
  cut(p);
  return p;
}

// A slice of the product.
struct Slice {
  const Gemm& g;
  const Plan& p;
  Size depth;
  Matrix x, y;                 // from its top
  float *packed_x, *packed_y;  // tiles and panels one after the other, or null
  bool first, last;
};

// The tile's place in C and what happens there, at (row, column) of X Y.
tile::Target target(const Slice& s, Size row, Size rows, Size column, Size columns) {
  const Gemm& g = s.g;
  const Size i = s.p.swapped ? column : row, j = s.p.swapped ? row : column;
  const float* bias = g.bias && s.last ? g.bias + j : nullptr;
  return {g.c + i * g.ldc + j, g.ldc, rows, columns, bias, s.p.swapped, !s.first || g.accumulate, s.last && g.relu};
}

void finish(const Gemm& g, float* c, Size rows, Size cols) {
  if (g.finish) g.finish->run(g.finish->context, c, rows, cols, g.ldc);
}

// The part of C that is the given rows and columns of X Y is done, but for what is to happen last.
void finish(const Slice& s, Size row, Size rows, Size column, Size columns) {
  if (!s.last) return;
  s.p.swapped ? finish(s.g, s.g.c + column * s.g.ldc + row, columns, rows)
              : finish(s.g, s.g.c + row * s.g.ldc + column, rows, columns);
}

Matrix tile_of_x(const Slice& s, Size row, Size rows) {
  return s.packed_x ? Matrix{s.packed_x + row * s.depth, 1, rows} : Matrix{s.x.data + row * s.x.row, s.x.row, s.x.col};
}

// Row tiles first..last against one panel of Y. `panel` is room for it.
void run_panel(const Slice& s, Size first, Size last, Size column, Size columns, float* panel) {
  const float* y = s.packed_y ? s.packed_y + column * s.depth : s.y.data + column;
  Size y_row = s.packed_y ? kPanel : s.y.row;
  bool pack = s.p.fused && last - first > 1;
  if (!s.packed_y && columns < kPanel) {
    tile::pack_panel(s.y, s.depth, column, columns, panel);
    y = panel, y_row = kPanel, pack = false;
  }
  for (Size i = first; i < last; ++i) {
    const Size row = s.p.tiles[i], rows = s.p.tiles[i + 1] - row;
    const Matrix x = tile_of_x(s, row, rows);
    (pack ? tile::choose<true>(rows) : tile::choose<false>(rows))(s.depth, x, y, y_row, panel,
                                                                  target(s, row, rows, column, columns));
    if (pack) y = panel, y_row = kPanel, pack = false;
  }
}

void run_block(const Slice& s, Size row_block, Size col_block) {
  const Plan& p = s.p;
  const Size first = p.row_blocks[row_block], last = p.row_blocks[row_block + 1];
  const Size end = std::min(p.cols, p.col_blocks[col_block + 1] * p.span);
  float* panel = thread_scratch(kPanel * s.depth);
  for (Size column = p.col_blocks[col_block] * p.span, columns; column < end; column += columns) {
    columns = std::min(p.span, end - column);
    if (p.wide && columns == p.span) {
      tile::choose_wide(p.rows).multiply(s.depth, tile_of_x(s, 0, p.rows), s.y.data + column, s.y.row, nullptr,
                                         target(s, 0, p.rows, column, columns));
    } else {
      columns = std::min(columns, kPanel);
      run_panel(s, first, last, column, columns, panel);
    }
    finish(s, p.tiles[first], p.tiles[last] - p.tiles[first], column, columns);
  }
}

// A group of tiles, some steps of all of them at a time: neighbours share cache lines.
void pack_group(const Slice& s, Size group) {
  const Size last = std::min(s.p.tiles.parts, (group + 1) * kGroup);
  for (Size top = 0; top < s.depth; top += kRun)
    for (Size i = group * kGroup; i < last; ++i) {
      const Size row = s.p.tiles[i], rows = s.p.tiles[i + 1] - row;
      tile::choose_pack(rows)({s.x.data + row + top * s.x.col, 1, s.x.col}, std::min(kRun, s.depth - top),
                              s.packed_x + row * s.depth + top * rows);
    }
}

void pack(const Slice& s) {
  const Size groups = s.packed_x ? ceil_div(s.p.tiles.parts, kGroup) : 0;
  const Size width = s.y.col == 1 ? 4 * kPanel : kPanel, fours = s.packed_y ? ceil_div(s.p.cols, width) : 0;
  parallel_for(groups + fours, row_grain(s.depth * width * 4), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size column = (task - groups) * width;
      if (task < groups)
        pack_group(s, task);
      else
        tile::pack_panels(s.y, s.depth, column, std::min(width, s.p.cols - column), s.packed_y + column * s.depth);
    }
  });
}

// The product in two halves, where packing it as one would take too much memory.
template <class F>
void halve(const Gemm& g, bool rows, const F& f) {
  Gemm one = g, two = g;
  const Size half = (rows ? g.m : g.n) / 2;
  (rows ? one.m : one.n) = half, (rows ? two.m : two.n) -= half;
  two.a.data += rows ? half * g.a.row : 0, two.b.data += rows ? 0 : half * g.b.col;
  two.c += rows ? half * g.ldc : half, two.bias += g.bias && !rows ? half : 0;
  f(one), f(two);
}

void multiply(const Gemm& g) {
  const Plan p = plan(g);
  const Size depth = p.slices.most(), blocks = p.row_blocks.parts * p.col_blocks.parts;
  const Size x_size = p.packs_x ? p.rows * depth : 0, y_size = p.packs_y ? p.panels * kPanel * depth : 0;
  if (std::max(x_size, y_size) > kMostPacked) return halve(g, p.swapped == (y_size > x_size), multiply);
  float* const panel = thread_scratch(kPanel * depth + x_size + y_size);  // for run_block on this thread
  float *const packed_x = panel + kPanel * depth, *const packed_y = packed_x + x_size;
  for (Size i = 0; i < p.slices.parts; ++i) {
    const Size top = p.slices[i];
    const Slice s{g,
                  p,
                  p.slices[i + 1] - top,
                  {p.x.data + top * p.x.col, p.x.row, p.x.col},
                  {p.y.data + top * p.y.row, p.y.row, p.y.col},
                  p.packs_x ? packed_x : nullptr,
                  p.packs_y ? packed_y : nullptr,
                  i == 0,
                  i + 1 == p.slices.parts};
    pack(s);
    const Size work = std::max<Size>(1, p.rows * p.cols * s.depth / blocks);
    parallel_for(blocks, std::max<Size>(1, kBlockWork / 2 / work), [&](Size begin, Size end) {
      for (Size block = begin; block < end; ++block) {
        const Size parts = p.swapped ? p.row_blocks.parts : p.col_blocks.parts;  // in the order in which C lies
        p.swapped ? run_block(s, block % parts, block / parts) : run_block(s, block / parts, block % parts);
      }
    });
  }
}

// No steps at all: C is the bias, or zero.
void fill_empty(const Gemm& g) {
  for (Size r = 0; r < g.m && !g.accumulate; ++r)
    for (Size j = 0; j < g.n; ++j) g.c[r * g.ldc + j] = g.bias ? tile::clipped(g.bias[j], g.relu) : 0.0f;
  finish(g, g.c, g.m, g.n);
}

// a (few rows) b^T, both with rows in one piece: scalar products read the large operand once, as it lies, while the
// small one stays in the first-level cache.
bool few_rows(const Gemm& g) {
  const Size few = std::min(g.m, g.n);
  return (few <= 4 || (few <= tile::kDotRows && few * g.k <= kSmallX)) && g.a.col == 1 && g.b.row == 1 &&
         !g.accumulate && g.k >= 4 * tile::W;
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
      swapped ? finish(g, c, rows, few) : finish(g, c, few, rows);
    }
  });
}

// A small C and a long depth: the threads share the depth. How often it is cut depends on the shape alone.
bool deep(const Gemm& g) { return g.m * g.n <= kSmallC && g.k >= 4 * kPart; }

void multiply_deep(const Gemm& g) {
  const Parts parts(g.k, std::min<Size>(16, g.k / kPart));
  const Size size = g.m * g.n;
  const Scratch<float> sums(parts.parts * size);
  parallel_for(parts.parts, 1, [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i) {
      const Size top = parts[i];
      const Matrix a{g.a.data + top * g.a.col, g.a.row, g.a.col}, b{g.b.data + top * g.b.row, g.b.row, g.b.col};
      multiply({g.m, g.n, parts[i + 1] - top, a, b, &sums[i * size], g.n});
    }
  });
  parallel_for(g.m, row_grain(g.n * parts.parts), [&](Size begin, Size end) {
    for (Size i = 1; i < parts.parts; ++i)
      for (Size at = begin * g.n; at < end * g.n; ++at) sums[at] += sums[i * size + at];
    tile::store_rows(&sums[begin * g.n], g.n,
                     {g.c + begin * g.ldc, g.ldc, end - begin, g.n, g.bias, false, g.accumulate, g.relu});
    finish(g, g.c + begin * g.ldc, end - begin, g.n);
  });
}

void gemm_one(const Gemm& g) {
  if (g.k == 0) return fill_empty(g);
  few_rows(g) ? multiply_few_rows(g) : deep(g) ? multiply_deep(g) : multiply(g);
}

}  // namespace

void gemm(const Gemm& first, Size count, Size a_step, Size b_step, Size c_step) {
  if (first.m == 0 || first.n == 0 || count == 0) return;
  const auto run = [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i) {
      Gemm g = first;
      g.a.data += i * a_step, g.b.data += i * b_step, g.c += i * c_step;
      gemm_one(g);
    }
  };
  const Size work = first.m * first.n * first.k;
  if (count < 8 && work > 4 * kBlockWork) return run(0, count);
  parallel_for(count, std::max(ceil_div(count, kWantedBlocks), kBlockWork / 2 / std::max<Size>(1, work)), run);
}

}  // namespace minigrad
