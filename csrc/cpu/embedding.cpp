// Rows of a table: y[i] = w[index[i]], and the sum of what comes back for each row.
//
// w (rows, cols), y and dy (n, cols), index (n). The sum goes row by row: the places that read a row are listed first
// (a counting sort), so each row of dw is written once, by one thread, in the order of the index and in double.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"

namespace minigrad {
namespace {

constexpr Size kTile = 64;

void check(Size rows, Size cols, const Array<const int64_t>& index, Size n, Size other_cols) {
  require(index.ndim == 1 && index.size == n && cols == other_cols,
          "expected a table of shape (rows, cols), an index of shape (n,) and values of shape (n, cols)");
  for (Size i = 0; i < n; ++i)
    if (index.data[i] < 0 || index.data[i] >= rows)
      throw std::out_of_range("index " + std::to_string(index.data[i]) + " out of range for a table of " +
                              std::to_string(rows) + " rows, expected 0 to " + std::to_string(rows - 1));
}

// start[r] .. start[r + 1] are the entries of `order` that hold the places of row r.
void list_places(Size* start, Size* order, const int64_t* index, Size n, Size rows) {
  std::fill(start, start + rows + 1, Size{0});
  for (Size i = 0; i < n; ++i) ++start[index[i] + 1];
  for (Size r = 0; r < rows; ++r) start[r + 1] += start[r];
  for (Size i = 0; i < n; ++i) order[start[index[i]]++] = i;
  for (Size r = rows; r > 0; --r) start[r] = start[r - 1];  // each start had moved on to the next one's place
  start[0] = 0;
}

// `columns` <= kTile neighbouring columns of one row.
void add_places(float* dw, const float* dy, const Size* place, const Size* last, Size stride, Size columns) {
  double acc[kTile] = {};
  for (; place < last; ++place)
    for (Size c = 0; c < columns; ++c) acc[c] += dy[*place * stride + c];
  for (Size c = 0; c < columns; ++c) dw[c] = static_cast<float>(acc[c]);
}

}  // namespace

void embedding_forward(Out<float> y, In<float> weight, In<int64_t> index) {
  require(y.ndim == 2 && weight.ndim == 2, "expected y and weight to have two dimensions");
  const Size cols = y.shape[1];
  check(weight.shape[0], weight.shape[1], index, y.shape[0], cols);
  parallel_for(y.shape[0], row_grain(cols), [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i) std::copy_n(weight.data + index.data[i] * cols, cols, y.data + i * cols);
  });
}

void embedding_backward(Out<float> dw, In<float> dy, In<int64_t> index) {
  require(dw.ndim == 2 && dy.ndim == 2, "expected dw and dy to have two dimensions");
  const Size rows = dw.shape[0], cols = dw.shape[1], n = dy.shape[0];
  check(rows, dy.shape[1], index, n, cols);
  if (!dw.size) return;
  const Scratch<Size> start(rows + 1), order(n);
  list_places(start.data(), order.data(), index.data, n, rows);
  parallel_for(rows, row_grain(cols * (1 + n / rows)), [&](Size begin, Size end) {
    for (Size r = begin; r < end; ++r)
      for (Size c = 0; c < cols; c += kTile)
        add_places(dw.data + r * cols + c, dy.data + c, order.data() + start[r], order.data() + start[r + 1], cols,
                   std::min(kTile, cols - c));
  });
}

}  // namespace minigrad
