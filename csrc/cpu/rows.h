// What softmax, cross-entropy and attention share: peaks and sums of rows, written once for long rows and short ones.
//
// A long row runs across lanes. Short rows are turned, kLanes of them at a time, so that each has a lane of its own and
// nothing is summed across lanes. A kernel sees either as a row of vectors: `at` names one of them, `row[at]` is its
// value, peaks and sums come as vectors too. NaN loses against any number in a peak, and comes out of the sum.
#pragma once

#include <algorithm>
#include <limits>

#include "cpu/parallel.h"
#include "cpu/simd_math.h"
#include "cpu/turn.h"

namespace minigrad {

constexpr Size kShortRow = 64;

// Lane r: the lanes of vector r, folded in pairs.
template <class F>
VFloat fold_each(VFloat (&rows)[kLanes], const F& f) {
  transpose(rows);
  for (int step = 1; step < kLanes; step *= 2)
    for (int r = 0; r < kLanes; r += 2 * step) rows[r] = f(rows[r], rows[r + step]);
  return rows[0];
}

// Places in a long row: lanes i, i + 1, ...; the first n of them at its end.
struct Whole {
  Size i;
  VFloat load(const float* row) const { return VFloat::load(row + i); }
  void store(float* row, VFloat x) const { x.store(row + i); }
};
struct Tail {
  Size i, n;
  VFloat load(const float* row) const { return VFloat::load(row + i, n); }
  void store(float* row, VFloat x) const { x.store(row + i, n); }
};
// x at a place of a long row, zeros beyond its end.
inline VFloat only(Whole, VFloat x) { return x; }
inline VFloat only(Tail at, VFloat x) { return keep_first(x, at.n); }

// Place in short rows: one column.
struct Column {
  Size c;
  VFloat load(const float* row) const { return VFloat(row[c]); }
};

template <class T>
struct LongRow {
  T* data;
  Size cols;
  static constexpr int count = 1;

  LongRow<float> output(float* y) const { return {y, cols}; }
  void finish() const {}

  template <class At>
  VFloat operator[](At at) const {
    return at.load(data);
  }
  template <class At>
  void put(At at, VFloat x) {
    at.store(data, x);
  }
  // What a number per row is to the lanes.
  VFloat spread(const float* per_row) const { return VFloat(*per_row); }

  template <class F>
  void each(const F& f) const {
    Size i = 0;
    for (; i + kLanes <= cols; i += kLanes) f(Whole{i});
    if (i < cols) f(Tail{i, cols - i});
  }

  // Sums are taken in float over a block, in double over the blocks.
  template <class F>
  VFloat sum(const F& f) const {
    constexpr Size kBlock = 128 * kLanes;
    double total = 0;
    for (Size begin = 0; begin < cols; begin += kBlock) {
      const Size end = std::min(cols, begin + kBlock);
      VFloat acc[4] = {VFloat(0.0f), VFloat(0.0f), VFloat(0.0f), VFloat(0.0f)};
      Size i = begin;
      for (; i + 4 * kLanes <= end; i += 4 * kLanes)
        for (int k = 0; k < 4; ++k) acc[k] += f(Whole{i + k * kLanes});
      for (; i + kLanes <= end; i += kLanes) acc[0] += f(Whole{i});
      if (i < end) acc[1] += keep_first(f(Tail{i, end - i}), end - i);
      total += minigrad::sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
    }
    return VFloat(static_cast<float>(total));
  }

  VFloat peak() const {
    float last = -std::numeric_limits<float>::infinity();
    VFloat acc[4] = {VFloat(last), VFloat(last), VFloat(last), VFloat(last)};
    Size i = 0;
    for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
      for (int k = 0; k < 4; ++k) acc[k] = max(VFloat::load(data + i + k * kLanes), acc[k]);
    for (; i + kLanes <= cols; i += kLanes) acc[0] = max(VFloat::load(data + i), acc[0]);
    for (; i < cols; ++i) last = data[i] > last ? data[i] : last;
    const float rest = largest(max(max(acc[0], acc[1]), max(acc[2], acc[3])));
    return VFloat(rest > last ? rest : last);
  }
};

// kLanes rows, one in each lane: lane r of column c is x[r, c].
struct SideBySide {
  float* lanes;
  Size cols;

  VFloat operator[](Column at) const { return VFloat::load(lanes + at.c * kLanes); }
  void put(Column at, VFloat x) { x.store(lanes + at.c * kLanes); }

  template <class F>
  void each(const F& f) const {
    for (Size c = 0; c < cols; ++c) f(Column{c});
  }
  template <class F>
  VFloat sum(const F& f) const {
    constexpr Size kBlock = 128;
    VFloat total(0.0f);
    for (Size begin = 0; begin < cols; begin += kBlock) {
      VFloat part(0.0f);
      for (Size c = begin, end = std::min(cols, begin + kBlock); c < end; ++c) part += f(Column{c});
      total += part;
    }
    return total;
  }
  VFloat peak() const {
    VFloat peak(-std::numeric_limits<float>::infinity());
    for (Size c = 0; c < cols; ++c) peak = max((*this)[Column{c}], peak);
    return peak;
  }
};

// Up to kLanes rows of at most kShortRow columns.
struct ShortRows : SideBySide {
  alignas(64) float memory[kShortRow * kLanes];
  int count;
  float* target = nullptr;  // where the rows of an output belong

  ShortRows(Size cols, int count, float* target) : SideBySide{memory, cols}, count(count), target(target) {}
  ShortRows(const float* x, Size cols, int count) : SideBySide{memory, cols}, count(count) {
    if (count < kLanes) std::fill_n(memory, cols * kLanes, 0.0f);
    copy_turned(memory, kLanes, x, cols, cols, count);
  }
  ShortRows(const ShortRows&) = delete;  // it points into itself
  ShortRows output(float* y) const { return {cols, count, y}; }
  void finish() const { copy_turned(target, cols, memory, kLanes, count, cols); }
  VFloat spread(const float* per_row) const { return VFloat::load(per_row, count); }
};

// f(first row, rows of each x) for all rows of x (rows, cols): one long one or some short ones at a time.
template <class F, class... X>
void for_rows(Size rows, Size cols, const F& f, const X*... x) {
  parallel_for(rows, row_grain(cols), [&](Size begin, Size end) {
    if (cols > kShortRow)
      for (Size r = begin; r < end; ++r) f(r, LongRow<const X>{x + r * cols, cols}...);
    else
      for (Size r = begin; r < end; r += kLanes) {
        const int count = static_cast<int>(std::min<Size>(kLanes, end - r));
        f(r, ShortRows(x + r * cols, cols, count)...);
      }
  });
}

}  // namespace minigrad
