// What attention's two directions share: the arrays of a batch, products cut into register tiles, and blocks of scores
// of which a causal mask may hide a part. Every tile takes only the part of the depth, or the columns, that it leaves.
#pragma once

#include <algorithm>
#include <limits>

#include "cpu/array.h"
#include "cpu/gemm_tile.h"
#include "cpu/simd_math.h"

namespace minigrad::attention {

using tile::kPanel;
constexpr Size kTile = tile::kRows;
constexpr Size kBlock = (48 + kTile - 1) / kTile * kTile;  // query rows
constexpr Size kChunk = 256 / kBlock * kBlock;  // keys of a block of backward: its P and dS stay in the cache
constexpr float kInf = std::numeric_limits<float>::infinity();

constexpr Size padded(Size n) { return (n + kPanel - 1) / kPanel * kPanel; }
inline Size whole_vectors(Size n) { return (n + kLanes - 1) / kLanes * kLanes; }

// The matrices of a batch: rows of neighbouring numbers, any strides above.
template <class V>
struct Stack {
  V view;
  Size rows, cols, step;  // step: floats from row to row

  explicit Stack(const V& view) : view(view) {
    require(view.data && view.ndim >= 2, "expected arrays of at least 2 dimensions");
    rows = view.shape[view.ndim - 2], cols = view.shape[view.ndim - 1];
    step = view.strides[view.ndim - 2] / static_cast<Size>(sizeof(float));
    require(cols <= 1 || !view.size || view.strides[view.ndim - 1] == sizeof(float),
            "expected rows of neighbouring numbers");
  }
  Size batch() const {
    Size matrices = 1;
    for (int d = 0; d + 2 < view.ndim; ++d) matrices *= view.shape[d];
    return matrices;
  }
  auto operator[](Size b) const {
    Size offset = 0;
    for (int d = view.ndim - 3; d >= 0; b /= view.shape[d--]) offset += b % view.shape[d] * view.strides[d];
    return view.data + offset / static_cast<Size>(sizeof(float));
  }
};
using Source = Stack<InView<float>>;
using Sink = Stack<OutView<float>>;

struct Problem {
  Source q, k, v;
  const InView<float>& mask;
  Size batch, rows, keys, width, value_width;
  float scale;
  bool causal;

  Size visible(Size row) const { return causal ? std::min(row + 1, keys) : keys; }
  // Multiplications of one product over all rows of a head.
  Size work() const { return rows * keys * (width + value_width) / (causal ? 2 : 1); }
};

template <class A>
void require_shape(const A& a, const Problem& p, Size rows, Size cols, const char* what) {
  require(a.batch() == p.batch && a.rows == rows && a.cols == cols, what);
}

inline Problem check(const InView<float>& q, const InView<float>& k, const InView<float>& v, const InView<float>& mask,
                     double scale, bool causal) {
  const Source qs(q), ks(k), vs(v);
  const Problem p{qs, ks, vs, mask, qs.batch(), qs.rows, ks.rows, qs.cols, vs.cols, static_cast<float>(scale), causal};
  require_shape(ks, p, p.keys, p.width, "expected q (batch, L, E), k (batch, S, E), v (batch, S, Ev)");
  require_shape(vs, p, p.keys, p.value_width, "expected q (batch, L, E), k (batch, S, E), v (batch, S, Ev)");
  if (mask.data) {
    Size matrices = 1;
    for (int d = 0; d + 2 < mask.ndim; ++d) matrices *= mask.shape[d];
    require(mask.ndim >= 2 && matrices == p.batch && mask.shape[mask.ndim - 2] == p.rows &&
                mask.shape[mask.ndim - 1] == p.keys,
            "expected a mask of shape (..., L, S) with as many matrices as the batch has");
  }
  return p;
}

// --- products ---

// What the tile of a product needs: the steps from..to of the depth, the columns up to `cols`; and whether it adds to
// what is there.
struct Part {
  Size from, to, cols;
  bool add = false;
};

// The right side of a product: panels of kPanel columns, `panel` floats apart, with rows `row` floats apart.
struct Right {
  const float* data;
  Size row, panel;
};

// The rows of a matrix, `step` floats apart.
template <class T>
struct Rows {
  T* data;
  Size step;
};

// Whether rows can be read by panels, or written, as they lie.
inline bool whole(Size cols) { return cols == padded(cols); }
inline bool dense(Size cols, Size step) { return whole(cols) && step <= 64; }

// c (rows, padded(cols)) = or += x y; part(i, r) says what the tile of the rows i .. i + r needs.
template <class F>
void multiply(Size rows, Size cols, Matrix x, Right y, Rows<float> c, const F& part) {
  tile::Target t{};
  t.ldc = c.step, t.cols = kPanel;
  for (Size j = 0; j < cols; j += kPanel)
    for (Size i = 0; i < rows; i += kTile) {
      t.rows = std::min(kTile, rows - i), t.c = c.data + i * c.step + j;
      const Part of = part(i, t.rows);
      t.add = of.add;
      const Matrix here{x.data + i * x.row + of.from * x.col, x.row, x.col};
      if (j < of.cols)
        tile::choose<false>(t.rows)(of.to - of.from, here, y.data + j / kPanel * y.panel + of.from * y.row, y.row,
                                    nullptr, t);
    }
}

// to (rows, filled) = factor * from (rows, cols), then zeros.
inline void copy_rows(const float* from, Size from_step, float* to, Size to_step, Size rows, Size cols, Size filled,
                      float factor = 1.0f) {
  const VFloat f(factor);
  for (Size r = 0; r < rows; ++r, from += from_step, to += to_step) {
    Size i = 0;
    for (; i + kLanes <= cols; i += kLanes) (VFloat::load(from + i) * f).store(to + i);
    if (i < cols) (VFloat::load(from + i, cols - i) * f).store(to + i, cols - i);
    std::fill(to + cols, to + filled, 0.0f);
  }
}

// A matrix (rows, cols) in panels, as it is or turned.
inline Right pack(const float* from, Size step, Size rows, Size cols, float* to) {
  tile::pack_panels({from, step, 1}, rows, 0, cols, to);
  return {to, kPanel, rows * kPanel};
}
inline Right pack_turned(const float* from, Size step, Size rows, Size cols, float* to) {
  tile::pack_panels({from, 1, step}, cols, 0, rows, to);
  return {to, kPanel, cols * kPanel};
}

// --- scores ---

// Query rows first.. against the keys from `key` on, `keys` of them; row i of them sees the first seen(i).
struct Block {
  const Problem& p;
  Size b, first, rows, key, keys;

  Size seen(Size i) const { return std::clamp<Size>(p.visible(first + i) - key, 0, keys); }
  Part of_scores(Size i, Size r, Size depth) const { return {0, depth, seen(i + r - 1)}; }
  Part of_rows(Size i, Size r, Size cols) const { return {0, seen(i + r - 1), cols, key > 0}; }
  // The block of queries that sees a tile of keys first writes what the others add to.
  Part of_keys(Size i, Size cols) const {
    const Size from = p.causal ? key + i : 0;
    return {std::clamp<Size>(from - first, 0, rows), rows, cols, first > from / kBlock * kBlock};
  }
};

// scores = factor * scores + the mask's row for that query.
inline void add_mask(const Block& k, Size i, Size n, float factor, float* scores) {
  const InView<float>& mask = k.p.mask;
  const Size step = mask.strides[mask.ndim - 1];
  const char* row =
      reinterpret_cast<const char*>(mask.data) + (k.first + i) * mask.strides[mask.ndim - 2] + k.key * step;
  for (Size d = mask.ndim - 3, b = k.b; d >= 0; b /= mask.shape[d--]) row += b % mask.shape[d] * mask.strides[d];
  const auto* numbers = reinterpret_cast<const float*>(row);
  if (step == sizeof(float))
    for (Size j = 0; j < n; ++j) scores[j] = factor * scores[j] + numbers[j];
  else
    for (Size j = 0; j < n; ++j)
      scores[j] = factor * scores[j] + numbers[j * (step / static_cast<Size>(sizeof(float)))];
}

// What lies beyond the keys that a row sees: -inf to the end of its last vector.
inline void end_row(const Block& k, Size i, float* scores, float factor = 1.0f) {
  const Size seen = k.seen(i);
  if (k.p.mask.data) add_mask(k, i, seen, factor, scores);
  std::fill(scores + seen, scores + whole_vectors(seen), -kInf);
}

// Zeros from what a row sees to what the tiles around it take of it.
inline void clear_unseen(const Block& k, Size i, float* row) {
  const Size seen = k.seen(i), end = std::min(padded(k.keys), std::max(seen + kTile, whole_vectors(seen)));
  std::fill(row + seen, row + end, 0.0f);
}

}  // namespace minigrad::attention
