// What layer_norm and rms_norm share: rows of x (rows, cols) brought to a common size, and the gradients.
//
// With h = x - mean (centred) or h = x, rstd = 1 / sqrt(mean(h²) + eps), xhat = h rstd and g = dy w:
//
//   y = xhat w + b        dx = rstd (g - mean(g) - xhat mean(g xhat))        dw = sum dy xhat, db = sum dy over the
//   rows
//
// where mean(g) is left out unless centred. Rows go in bands of kLanes: what is one number for a row is a lane of a
// vector for the band, so that roots, divisions and sums across lanes are done once for all its rows.
//
// dx and both sums come from one pass over a band. A block of rows sums in float over a few of them and in double over
// these; the blocks, which depend on the shape alone, are added up in their order at the end.
#pragma once

#include <algorithm>
#include <array>

#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {
namespace norm {

constexpr Size kFloatRows = 64;  // so many numbers are summed in float
constexpr Size kBlocks = 64;     // at most, for what they sum has to be kept
constexpr Size kSpan = 128 * kLanes;
constexpr Size kBandFloats = 3072;

// Statistic: float where they are made, const float where they are used.
template <class Statistic>
struct Arrays {
  Size rows, cols;
  const float *x, *weight, *bias;  // weight and bias may be null
  Statistic *mean, *rstd;          // mean is null unless centred
};

inline Size whole_bands(Size rows) { return (rows + kLanes - 1) / kLanes * kLanes; }

// Rows of a band: fewer where they are so long that the second look at them would not find them in the first cache.
inline Size band_rows(Size cols) { return std::clamp<Size>(kBandFloats / std::max<Size>(cols, 1), 2, kLanes); }

// f(first row, how many) for the bands of the rows begin..end.
template <class F>
void for_bands(Size begin, Size end, Size cols, const F& f) {
  const Size step = band_rows(cols);
  for (Size r = begin; r < end; r += step) f(r, static_cast<int>(std::min(step, end - r)));
}

// Numbers of the rows of a band as an array, to be spread over a row one by one.
struct PerRow {
  float number[kLanes];
  explicit PerRow(VFloat lanes) { lanes.store(number); }
};

// R neighbouring rows of h, and one number of each as a vector.
template <bool centred, int R>
struct Rows {
  const float* x;
  Size cols;
  VFloat mean[R];

  Rows(const float* x, Size cols, const PerRow& means, int first) : x(x + first * cols), cols(cols) {
    for (int r = 0; r < R; ++r) mean[r] = VFloat(means.number[first + r]);
  }
  template <class At>
  VFloat h(At at, int r) const {
    const VFloat value = at.load(x + r * cols);
    return centred ? value - mean[r] : value;
  }
};

// f(count, r) for the rows r, r + 1, ... of a band, two at a time: what they share is read once for both.
template <class F>
void for_pairs(int rows, const F& f) {
  int r = 0;
  for (; r + 1 < rows; r += 2) f(std::integral_constant<int, 2>{}, r);
  if (r < rows) f(std::integral_constant<int, 1>{}, r);
}

template <class F>
void for_places(Size cols, F f) {
  Size i = 0;
  for (; i + kLanes <= cols; i += kLanes) f(Whole{i});
  if (i < cols) f(Tail{i, cols - i});
}

// Lane r of sum k: term k of row r over the columns begin..end. of(count, first) gives a function (at, r) of those rows
// that returns the K terms there.
template <std::size_t K, class F>
std::array<VFloat, K> sum_span(int rows, Size begin, Size end, const F& of) {
  VFloat part[K][kLanes];
  for_pairs(rows, [&](auto count, int first) {
    constexpr int R = count(), kUnroll = 8 / (static_cast<int>(K) * R);
    const auto terms = of(count, first);
    VFloat acc[kUnroll][R][K];
    for (auto& some : acc)
      for (auto& row : some)
        for (auto& lanes : row) lanes = VFloat(0.0f);
    const auto add = [&](int u, auto at) {
      for (int r = 0; r < R; ++r) {
        const std::array<VFloat, K> term = terms(at, r);
        for (std::size_t k = 0; k < K; ++k) acc[u][r][k] += only(at, term[k]);
      }
    };
    Size i = begin;
    for (; i + kUnroll * kLanes <= end; i += kUnroll * kLanes)
      for (int u = 0; u < kUnroll; ++u) add(u, Whole{i + u * kLanes});
    for (; i + kLanes <= end; i += kLanes) add(0, Whole{i});
    if (i < end) add(0, Tail{i, end - i});
    for (int r = 0; r < R; ++r)
      for (std::size_t k = 0; k < K; ++k) {
        part[k][first + r] = acc[0][r][k];
        for (int u = 1; u < kUnroll; ++u) part[k][first + r] += acc[u][r][k];
      }
  });
  std::array<VFloat, K> sums;
  for (std::size_t k = 0; k < K; ++k) {
    for (int r = rows; r < kLanes; ++r) part[k][r] = VFloat(0.0f);
    sums[k] = fold_each(part[k], [](VFloat a, VFloat b) { return a + b; });
  }
  return sums;
}

// The same over whole rows: in float over kSpan columns, in double over these.
template <std::size_t K, class F>
std::array<VFloat, K> sum_rows(int rows, Size cols, const F& of) {
  auto sums = sum_span<K>(rows, 0, std::min(cols, kSpan), of);
  if (cols <= kSpan) return sums;
  double total[K][kLanes] = {};
  for (Size begin = 0; begin < cols; begin += kSpan) {
    if (begin) sums = sum_span<K>(rows, begin, std::min(cols, begin + kSpan), of);
    for (std::size_t k = 0; k < K; ++k)
      for (int r = 0; r < kLanes; ++r) total[k][r] += sums[k][r];
  }
  for (std::size_t k = 0; k < K; ++k) {
    float narrow[kLanes];
    for (int r = 0; r < kLanes; ++r) narrow[r] = static_cast<float>(total[k][r]);
    sums[k] = VFloat::load(narrow);
  }
  return sums;
}

// --- forward ---

// The means of the rows: sums of the differences from their first element keep the digits of rows far from zero.
inline VFloat mean_of(const float* x, int rows, Size cols) {
  PerRow near(VFloat(0.0f));
  for (int r = 0; r < rows && cols; ++r) near.number[r] = x[r * cols];
  const auto differences = [&](auto count, int first) {
    return [from = Rows<true, count()>(x, cols, near, first)](auto at, int r) {
      return std::array<VFloat, 1>{from.h(at, r)};
    };
  };
  return VFloat::load(near.number) + sum_rows<1>(rows, cols, differences)[0] / VFloat(static_cast<float>(cols));
}

// y = h scale w + b for R rows.
template <bool centred, int R>
void write_rows(const Rows<centred, R>& rows, const PerRow& scales, int first, const float* w, const float* b,
                float* y) {
  VFloat scale[R];
  for (int r = 0; r < R; ++r) scale[r] = VFloat(scales.number[first + r]);
  for_places(rows.cols, [=](auto at) {
    const VFloat weight = w ? at.load(w) : VFloat(1.0f), bias = b ? at.load(b) : VFloat(0.0f);
    for (int r = 0; r < R; ++r) {
      const VFloat scaled = rows.h(at, r) * scale[r];
      at.store(y + r * rows.cols, b ? fma(scaled, weight, bias) : scaled * weight);
    }
  });
}

template <bool centred>
void band_forward(const Arrays<float>& a, float* y, Size first, int rows, VFloat eps) {
  const float* x = a.x + first * a.cols;
  const VFloat means = centred ? mean_of(x, rows, a.cols) : VFloat(0.0f), n(static_cast<float>(a.cols));
  const PerRow mean(means);
  const auto squares = [&](auto count, int first) {
    return [of = Rows<centred, count()>(x, a.cols, mean, first)](auto at, int r) {
      const VFloat h = of.h(at, r);
      return std::array<VFloat, 1>{h * h};
    };
  };
  const VFloat scales = VFloat(1.0f) / sqrt(sum_rows<1>(rows, a.cols, squares)[0] / n + eps);
  const PerRow scale(scales);
  for_pairs(rows, [&](auto count, int r) {
    write_rows(Rows<centred, count()>(x, a.cols, mean, r), scale, r, a.weight, a.bias, y + (first + r) * a.cols);
  });
  if (centred) means.store(a.mean + first, rows);
  scales.store(a.rstd + first, rows);
}

template <bool centred>
void forward(const Arrays<float>& a, float* y, double eps) {
  const VFloat least(static_cast<float>(eps));
  parallel_for(a.rows, whole_bands(row_grain(a.cols)), [&](Size begin, Size end) {
    for_bands(begin, end, a.cols, [&](Size r, int rows) { band_forward<centred>(a, y, r, rows, least); });
  });
}

// --- backward ---

struct Gradients {
  float *dx, *dw, *db;  // dw and db may be null
  const float* dy;
};

// What the columns of a few rows sum to.
struct Sums {
  float *dw, *db;
};

// dx = rstd (g - level - xhat slope) for R rows, and their share of the sums.
template <bool centred, int R>
void rows_backward(const Rows<centred, R>& rows, const float* w, const float* dy, float* dx, const Sums& to, int first,
                   const PerRow& rstds, const PerRow& levels, const PerRow& slopes) {
  VFloat rstd[R], level[R], slope[R];
  for (int r = 0; r < R; ++r) {
    rstd[r] = VFloat(rstds.number[first + r]);
    level[r] = VFloat(levels.number[first + r]), slope[r] = VFloat(slopes.number[first + r]);
  }
  for_places(rows.cols, [=](auto at) {
    const VFloat weight = w ? at.load(w) : VFloat(1.0f);
    VFloat dw = at.load(to.dw), db = at.load(to.db);
    for (int r = 0; r < R; ++r) {
      const VFloat from = held(at.load(dy + r * rows.cols)), xhat = rows.h(at, r) * rstd[r];
      dw = fma(from, xhat, dw);
      db += from;
      at.store(dx + r * rows.cols, (held(from * weight) - level[r] - xhat * slope[r]) * rstd[r]);
    }
    at.store(to.dw, dw), at.store(to.db, db);
  });
}

template <bool centred>
void band_backward(const Arrays<const float>& a, const Gradients& g, Size first, int rows, const Sums& sums) {
  const float *const x = a.x + first * a.cols, *const dy = g.dy + first * a.cols;
  float* const dx = g.dx + first * a.cols;
  const VFloat n(static_cast<float>(a.cols)), rstds = VFloat::load(a.rstd + first, rows);
  const PerRow mean(centred ? VFloat::load(a.mean + first, rows) : VFloat(0.0f));
  const auto products = [&](auto count, int first) {
    const Rows<centred, count()> of(x, a.cols, mean, first);
    return [of, dy = dy + first * a.cols, w = a.weight](auto at, int r) {
      const VFloat g = w ? at.load(dy + r * of.cols) * at.load(w) : at.load(dy + r * of.cols);
      return std::array<VFloat, 2>{g * of.h(at, r), g};
    };
  };
  const auto totals = sum_rows<2>(rows, a.cols, products);
  const PerRow rstd(rstds), level(centred ? totals[1] / n : VFloat(0.0f)), slope(rstds * totals[0] / n);
  for_pairs(rows, [&](auto count, int r) {
    const Rows<centred, count()> of(x, a.cols, mean, r);
    rows_backward(of, a.weight, dy + r * a.cols, dx + r * a.cols, sums, r, rstd, level, slope);
  });
}

inline void add_to(double* total, float* sums, Size cols) {
  for (Size c = 0; c < cols; ++c) total[c] += sums[c];
  std::fill_n(sums, cols, 0.0f);
}

template <bool centred>
void block_backward(const Arrays<const float>& a, const Gradients& g, Size first, Size end, double* total) {
  const Scratch<float> sums(2 * a.cols);
  const Sums columns{sums.data(), sums.data() + a.cols};
  std::fill_n(sums.data(), 2 * a.cols, 0.0f);
  if (total) std::fill_n(total, 2 * a.cols, 0.0);
  for (Size r = first; r < end; r += kFloatRows) {
    const Size last = std::min(end, r + kFloatRows);
    for_bands(r, last, a.cols, [&](Size band, int rows) { band_backward<centred>(a, g, band, rows, columns); });
    if (total) add_to(total, sums.data(), 2 * a.cols);
  }
}

inline void add_blocks(float* out, const double* totals, Size blocks, Size step, Size cols) {
  for (Size c = 0; c < cols; ++c) {
    double total = 0;
    for (Size block = 0; block < blocks; ++block) total += totals[block * step + c];
    out[c] = static_cast<float>(total);
  }
}

template <bool centred>
void backward(const Arrays<const float>& a, const Gradients& g) {
  const bool sums = g.dw || g.db;
  const Size block = whole_bands(std::max(row_grain(a.cols), (a.rows + kBlocks - 1) / kBlocks));
  const Size blocks = (a.rows + block - 1) / block, step = 2 * a.cols;
  const Scratch<double> totals(sums ? blocks * step : 0);
  parallel_for(blocks, 1, [&](Size begin, Size end) {
    for (Size b = begin; b < end; ++b)
      block_backward<centred>(a, g, b * block, std::min(a.rows, (b + 1) * block),
                              sums ? totals.data() + b * step : nullptr);
  });
  if (g.dw) add_blocks(g.dw, totals.data(), blocks, step, a.cols);
  if (g.db) add_blocks(g.db, totals.data() + a.cols, blocks, step, a.cols);
}

}  // namespace norm
}  // namespace minigrad
