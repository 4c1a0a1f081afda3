// layer_norm of the rows of x (rows, cols), and its gradients. With xhat = (x - mean) rstd and g = dy w:
// y = xhat w + b, dx = rstd (g - mean(g) - xhat mean(g xhat)), dw = sum dy xhat and db = sum dy over the rows.
//
// dx and both sums come from one pass over the rows. A block of rows sums in float over a few of them and in double
// over these; the blocks, which depend on the shape alone, are added up in their order at the end.

#include <algorithm>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {
namespace {

constexpr Size kFloatRows = 64;  // so many numbers are summed in float
constexpr Size kBlocks = 64;     // at most, for what they sum has to be kept

void check(const Array<const float>& x, const Array<const float>& weight, Size mean, Size rstd) {
  require(x.ndim == 2, "expected x of shape (rows, cols)");
  require(mean == x.shape[0] && rstd == x.shape[0], "expected mean and rstd of shape (rows,)");
  require(!weight || weight.size == x.shape[1], "expected a weight of shape (cols,)");
}

template <class At>
VFloat weight_at(At at, const float* weight) {
  return weight ? at.load(weight) : VFloat(1.0f);
}

// Sums of each column of (dy xhat) and dy over a few rows. The lanes of short rows are rows: they are summed last.
struct Sums {
  const Size cols, width;  // width: floats for one column
  const Scratch<float> dw, db;
  explicit Sums(Size cols) : cols(cols), width(cols > kShortRow ? 1 : kLanes), dw(cols * width), db(cols * width) {
    clear();
  }
  void clear() const {
    std::fill_n(dw.data(), cols * width, 0.0f);
    std::fill_n(db.data(), cols * width, 0.0f);
  }
  template <class At>
  void add(At at, VFloat w, VFloat b) const {
    at.store(dw.data(), at.load(dw.data()) + w);
    at.store(db.data(), at.load(db.data()) + b);
  }
  void add(Column at, VFloat w, VFloat b) const {
    const Whole lanes{at.c * kLanes};
    add(lanes, w, b);
  }
  void move_to(double* total) const {
    for (Size c = 0; c < cols; ++c) {
      total[c] += width == 1 ? dw[c] : sum(VFloat::load(dw.data() + c * kLanes));
      total[cols + c] += width == 1 ? db[c] : sum(VFloat::load(db.data() + c * kLanes));
    }
    clear();
  }
};
struct NoSums {
  explicit NoSums(Size) {}
  template <class At>
  void add(At, VFloat, VFloat) const {}
  void move_to(double*) const {}
};

struct Arrays {
  float* dx;
  const float *dy, *x, *weight, *mean, *rstd;
  Size cols;
};

// dx of `rows` rows from `first` on, and what the sums are of there.
template <class S>
void rows_backward(const Arrays& a, Size first, Size rows, const S& sums) {
  const auto body = [&](Size r, const auto& dy, const auto& x) {
    const VFloat mean = x.spread(a.mean + first + r), rstd = x.spread(a.rstd + first + r);
    const VFloat n(static_cast<float>(a.cols));
    const auto g = [&](auto at) { return dy[at] * weight_at(at, a.weight); };
    const auto xhat = [&](auto at) { return (x[at] - mean) * rstd; };
    const VFloat level = dy.sum(g) / n, slope = dy.sum([&](auto at) { return g(at) * xhat(at); }) / n;
    auto out = x.output(a.dx + (first + r) * a.cols);
    out.each([&](auto at) {
      const VFloat h = xhat(at);
      out.put(at, rstd * (g(at) - level - h * slope));
      sums.add(at, dy[at] * h, dy[at]);
    });
    out.finish();
  };
  for_rows(rows, a.cols, body, a.dy + first * a.cols, a.x + first * a.cols);
}

template <class S>
void block_backward(const Arrays& a, Size first, Size end, double* total) {
  const S sums(a.cols);
  const Size step = a.cols > kShortRow ? kFloatRows : kFloatRows * kLanes;
  for (Size r = first; r < end; r += step) {
    rows_backward(a, r, std::min(step, end - r), sums);
    sums.move_to(total);
  }
}

void add_blocks(float* out, const double* totals, Size blocks, Size step, Size cols) {
  for (Size c = 0; c < cols; ++c) {
    double total = 0;
    for (Size block = 0; block < blocks; ++block) total += totals[block * step + c];
    out[c] = static_cast<float>(total);
  }
}

}  // namespace

void layer_norm_forward(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, Maybe<In<float>> weight,
                        Maybe<In<float>> bias, double eps) {
  check(x, weight, mean.size, rstd.size);
  require_same_shape(y, x, "y and x");
  require(!bias || bias.size == x.shape[1], "expected a bias of shape (cols,)");
  const Size cols = x.shape[1];
  const VFloat n(static_cast<float>(cols)), least(static_cast<float>(eps));
  const auto body = [&](Size r, const auto& row) {
    float first[kLanes];  // sums of the differences from it keep the digits of rows that lie far from zero
    for (int i = 0; i < row.count; ++i) first[i] = cols ? x.data[(r + i) * cols] : 0.0f;
    const VFloat near = row.spread(first), centre = near + row.sum([&](auto at) { return row[at] - near; }) / n;
    const auto square = [&](auto at) { return (row[at] - centre) * (row[at] - centre); };
    const VFloat scale = VFloat(1.0f) / sqrt(row.sum(square) / n + least);
    auto out = row.output(y.data + r * cols);
    if (bias)
      out.each(
          [&](auto at) { out.put(at, (row[at] - centre) * scale * weight_at(at, weight.data) + at.load(bias.data)); });
    else
      out.each([&](auto at) { out.put(at, (row[at] - centre) * scale * weight_at(at, weight.data)); });
    out.finish();
    centre.store(mean.data + r, row.count);
    scale.store(rstd.data + r, row.count);
  };
  for_rows(x.shape[0], cols, body, x.data);
}

// dw and db may be missing.
void layer_norm_backward(Out<float> dx, Maybe<Out<float>> dw, Maybe<Out<float>> db, In<float> dy, In<float> x,
                         Maybe<In<float>> weight, In<float> mean, In<float> rstd) {
  check(x, weight, mean.size, rstd.size);
  require_same_shape(dx, x, "dx and x");
  require_same_shape(dy, x, "dy and x");
  const Size rows = x.shape[0], cols = x.shape[1];
  require((!dw || dw.size == cols) && (!db || db.size == cols), "expected dw and db of shape (cols,)");
  const Arrays a{dx.data, dy.data, x.data, weight.data, mean.data, rstd.data, cols};
  const auto block_of = dw || db ? block_backward<Sums> : block_backward<NoSums>;
  const Size block = std::max(row_grain(cols), (rows + kBlocks - 1) / kBlocks), blocks = (rows + block - 1) / block;
  const Scratch<double> totals(dw || db ? blocks * 2 * cols : 0);
  parallel_for(blocks, 1, [&](Size begin, Size end) {
    for (Size b = begin; b < end; ++b) {
      double* total = totals.data() + b * 2 * cols;
      if (dw || db) std::fill_n(total, 2 * cols, 0.0);
      block_of(a, b * block, std::min(rows, (b + 1) * block), total);
    }
  });
  if (dw) add_blocks(dw.data, totals.data(), blocks, 2 * cols, cols);
  if (db) add_blocks(db.data, totals.data() + cols, blocks, 2 * cols, cols);
}

}  // namespace minigrad
